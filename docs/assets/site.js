// Two things that the theme leaves out for those who read by keyboard or by ear.
const told = { tabindex: "0", role: "group", "aria-label": "a wide table: scroll sideways" };

const mend = () => {
  // A table that is wider than its place scrolls by itself: the arrow keys have to reach it.
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap")) {
    const wide = wrap.scrollWidth > wrap.clientWidth;
    for (const [key, value] of Object.entries(told)) {
      if (wide) wrap.setAttribute(key, value);
      else wrap.removeAttribute(key);
    }
  }
  // The button that copies a block is no place to navigate to.
  for (const nav of document.querySelectorAll("nav.md-code__nav")) nav.setAttribute("role", "presentation");
};

addEventListener("load", mend);
addEventListener("resize", mend);
new MutationObserver(mend).observe(document.documentElement, { childList: true, subtree: true });
