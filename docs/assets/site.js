// What the theme leaves out for those who read by keyboard, by ear or on a phone.
const told = { tabindex: "0", role: "group", "aria-label": "wide: scroll sideways" };
const wraps = '.md-typeset__scrollwrap, .md-typeset p:has(> img)';
const short = 24; // characters of a name or flag that is not broken at its hyphens

const mend = () => {
  // A table or a picture that is wider than its place scrolls by itself: the arrow keys have to reach it.
  for (const wrap of document.querySelectorAll(wraps)) {
    const wide = wrap.scrollWidth > wrap.clientWidth;
    for (const [key, value] of Object.entries(told)) {
      if (wide) wrap.setAttribute(key, value);
      else wrap.removeAttribute(key);
    }
  }
  // Markdown makes a heading of a table's empty corner.
  for (const corner of document.querySelectorAll("th:empty")) corner.replaceWith(document.createElement("td"));
  // The button that copies a block is no place to navigate to.
  for (const nav of document.querySelectorAll("nav.md-code__nav")) nav.setAttribute("role", "presentation");
  for (const code of document.querySelectorAll(".md-typeset :not(pre) > code")) {
    code.classList.toggle("whole", code.textContent.length <= short);
  }
};

addEventListener("load", mend);
addEventListener("resize", mend);
new MutationObserver(mend).observe(document.documentElement, { childList: true, subtree: true });
