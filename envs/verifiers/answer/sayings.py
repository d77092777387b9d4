r"""What a sentence says the answer is: `So the final answer is 42.`, `42 is the answer.`, `This gives a final answer of 42.`

Before `the answer is` a clause may stand that neither supposes, doubts, denies nor quotes it: `We see that`, but not
`If x were 3,` or `He claims that`. Each pattern is bounded or anchored, and read on one line of bounded length.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.answer.retraction import is_value, trimmed

NOUN = re.compile(
    r"(?<![A-Za-z])(?P<noun>answers?|ans|antwort|r[eé]ponse|respuesta|risposta|resposta|ответ|result|value|solution"
    r"|option"
    r"|choice|lösung)(?![A-Za-z])|答案|答え|解答|정답|답",
    re.IGNORECASE,
)
ADJECTIVES = (
    r"(?:final|correct|right|best|required|desired|requested|overall|numerical|numeric|simplified|exact|ultimate"
    r"|complete|full|short"
    r"|quick|answer|actual|true|resulting|finale?|endgültige|richtige|最终|最后|正确|的|окончательный|правильный)"
)
_PHRASE = re.compile(
    rf"(?:\b(?:the|our|my|an?|its|this|die|das|la|le|a|o|il|el|notre|nuestra"
    rf"|unsere)\s)?(?P<adjectives>(?:{ADJECTIVES}[\s-]{{0,2}}){{0,3}})$",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"(?:\s(?P<of>(?:to|for)\s[^:=.,]{1,60}?)(?=\s?[:=]|\s(?:is|are)\b)|\s?\([^()]{1,40}\)|\s?,\s(?:therefore|then"
    r"|thus|hence),?|\s(?:final|finale|correcta|correcte|corretta|correta)(?=\s))?"
    r"\s?(?:(?P<sign>[:：=]|->|→|⇒|⟹|\\(?:Long)?[rR]ightarrow|\s[—–-](?=\s))|\s?(?P<verb>(?:is|are|equals|would be"
    r"|will be|should be|must be|has to be"
    r"|(?:comes|works) out (?:to be|to|as|at)|turns out to be|becomes|simplifies to|ist|lautet|beträgt|est|es|é"
    r"|è)(?![A-Za-z'’])|是|为|は、?|은|는|of\b|as\b))"
    r"(?:\s?(?:equal to|given by))?\s?(?:[:：=]|therefore[,:]?|(?<=\s)(?:simply|just|clearly|thus|then|hence|indeed"
    r"|exactly|precisely|probably|obviously|definitely|certainly|surely|likely|in fact|actually),?(?!\snot\b))?"
    r"\s*(?P<answer>\S.*)$",
    re.IGNORECASE,
)
_IS_THE_ANSWER = re.compile(
    rf"^(?P<answer>(?:[^,;:()]|\([^()]{{0,60}}\)){{1,80}}?)\s(?:is|as)\s(?:(?:therefore|thus|then|hence|indeed"
    rf"|clearly),?\s)?(?:the|our"
    rf"|my)\s(?:{ADJECTIVES}\s){{0,3}}answer(?![A-Za-z])(?!\s(?:if|when|unless|to (?:a|an|another|some|the (?:other"
    rf"|first|previous)))\b)(?P<tail>.*)$",
    re.IGNORECASE,
)
_CONNECTED = re.compile(
    r"^(?:(?:so|thus|therefore|hence|then|and|finally|in (?:conclusion|summary|short|total|other words)"
    r"|to (?:summarize|conclude|sum up)|consequently|overall"
    r"|accordingly|clearly|now|ok|okay|well|great|altogether|ultimately|as a result|conclusion|summary|here|yes"
    r"|alright|done|all in all|we (?:get|have|obtain|find)"
    r"|i get|since|because|donc|also|daher|somit|por lo tanto|quindi|portanto|所以|因此|故|综上|итак)\s?[,:，]?\s?){0,3}",
    re.IGNORECASE,
)
_LEADS = re.compile(
    r"(?:^|[,:;.)\]$—–→⇒∴>✅，：]|\b(?:that|so|thus|hence|therefore|then|and|means|see|conclude|finally|now|is|because"
    r"|since|donc|que|dass|(?:i|we) (?:can )?(?:think|believe|know|find|get|have|see|say|deduce|conclude"
    r"|obtain)))\s*$",
    re.IGNORECASE,
)
_GIVES = re.compile(
    r"\b(?:gives|giving|gave|gets?|getting|obtain|obtaining|yields|yielding|for|have|having|produces|producing"
    r"|(?:arrive|arriving) at|reach|leaves|leaving|leads to|with)(?:\s(?:us|me|you))?\s*$",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:if|suppose|supposing|supposed|assum(?:e|es|ed|ing)|imagine|pretend|unless|whether|in case|provided"
    r"|doubt\w*|den(?:y|ies|ied)|claim(?:s|ed|ing)?"
    r"|said|says|told|heard|rumou?r\w*|nobody|no one|hypothetical\w*|for (?:example|instance)|e\.g|wish|dream\w*"
    r"|asked|asks|wonder\w*|quote\w*|impossible|unlikely"
    r"|falsely|wrongly|untrue|incorrectly|someone|somebody|others|(?:he|she|they|students?|people|one|book|teacher"
    r"|friend|key|reference)\s(?:might\s|would\s|could\s|may\s)?(?:thinks?|believes?|guess(?:es|ed)?|thought"
    r"|answers?|wrote|writes?|gets?|got|insists?))\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|never|cannot|no|false|wrong|incorrect|neither|nor|had|were|would|could|might|may|maybe|perhaps"
    r"|possibly|when|where|for)\b|n['’]t\b",
    re.IGNORECASE,
)
_VALUE_OF = re.compile(
    r"^(?:the|our)\s(?!.{0,80}\b(?:not|never|no)\b)[^.:=<>]{1,80}?\s(?:is|are|equals)\s(?P<answer>[$(\\-]{0,3}\d.*)$",
    re.IGNORECASE,
)
IT_IS = re.compile(
    r"^(?:so\s|then\s|and\s)?(?:it is|it['’]s|that is|that['’]s|this is|i get|we get|i got|we got"
    r"|we have)\s(?P<answer>\S.*)$",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"[,;]?\s(?:(?:because|since)\s.*|\((?:because|since|as|by|from|see|using|rounded)\s[^()]{0,200}\)"
    r"|(?:as|just as|so|and|which)\s(?:required|desired|wanted|needed|expected|claimed|was to be|we wanted"
    r"|we are done|we're done|this is what|is what (?:we|was)|is the (?:required|desired))\b.*)$|,\s(?:i (?:think"
    r"|believe|am (?:sure|confident))|as\s(?:\w+\s){0,3}\w+|so\s(?:the|we)\s[^\d]{1,60}|right)$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<![ap]\.m\.)(?<![ap]\. m\.)(?<=[.!?。！？])(?:\s+(?=[A-Za-z\[(\"“*])|(?<=[。！？]))|(?<=[\d$}\])])(?:\*\*|\*"
    r"|\$)?(?:;\s|[—–]\s?)(?=\w)|(?<=[\d$}\])])\s[—–]\s(?=[A-Za-z]{2})|(?<=[\d$}\])]),\s(?=but\s)"
    r"|(?<=[\w$}\])])(?<!\byes)(?<!\bno),?\s(?=(?:which\s(?:is|was)\s(?:not|wrong|incorrect|false)|no\swait|no,|wait,)(?:\b|\s))"
)


def first_sentence(line: str) -> tuple[str, str]:
    """The first sentence of a line, and what follows it."""
    end = _SENTENCE_END.search(line)
    return (line, "") if end is None else (line[: end.start()], line[end.end() :])


def said(sentence: str) -> str | None:
    """What a sentence says the answer is, behind the last `answer` that says so; None where it does not."""
    if sentence.endswith("?") and re.match(
        r"(?:is|could|can|might|what|are|would|was|does|how|why)\b", sentence, re.IGNORECASE
    ):
        return None
    for noun in NOUN.finditer(sentence):
        match = _SAYS.match(sentence, noun.end())
        if match is not None and _may_say(sentence[: noun.start()], (noun["noun"] or "answer").lower(), match):
            return match["answer"]
    lead = _CONNECTED.match(sentence)
    turned = _IS_THE_ANSWER.match(sentence[lead.end() if lead else 0 :])
    if turned is not None and is_value(trimmed(turned["answer"])):
        return turned["answer"] + (
            "" if not turned["tail"].strip(" .!*_") or not _DENIED.search(turned["tail"]) else turned["tail"]
        )
    return None


def _may_say(lead: str, noun: str, match: re.Match[str]) -> bool:
    """Whether what stands before the noun lets the sentence state an answer."""
    phrase = _PHRASE.search(lead[-80:])
    adjectives = (phrase["adjectives"] if phrase else "").lower()
    if noun in ("result", "value", "solution", "lösung") and not adjectives.strip().startswith(("final", "answer")):
        return False
    if noun in ("option", "choice") and not re.search("correct|right|best|final|answer", adjectives):
        return False
    lead = lead[: len(lead) - len(lead[-80:]) + phrase.start()] if phrase else lead
    if match["of"] and re.search(
        r"\b(?:different|another|other|previous|first|wrong|old"
        r"|part)\b",
        match["of"],
        re.IGNORECASE,
    ):
        return False
    verb = (match["verb"] or "").lower()
    if verb in ("of", "as"):
        value = re.match(r"[-+$\\(\d*]", match["answer"]) is not None or is_value(trimmed(match["answer"]))
        return _GIVES.search(lead) is not None and value and not _UNSURE.search(lead)
    connected = _CONNECTED.match(lead)
    rest = lead[connected.end() if connected else 0 :].strip(" *_")
    if not rest:
        return True
    if match["sign"] and not re.search(r"[:.,]$|[✅→⇒]$", rest):
        return False
    if not _LEADS.search(lead) or lead.rstrip()[-1:] in "\"“'‘«":
        return False
    return not _UNSURE.search(lead) and not _DENIED.search(
        re.split(r"[,:;]\s", lead.rstrip(" ,:;"))[-1] if not lead.rstrip().endswith(",") else ""
    )


def stated(answer: str) -> str:
    """The answer within `The final answer is 42.` or `The largest n is 42.` behind `Answer:`, or the text itself."""
    for _ in range(2):
        answer = answer.strip()
        inner = (
            said(answer)
            or ((m := _VALUE_OF.match(answer)) and m["answer"])
            or ((m := IT_IS.match(answer)) and m["answer"])
        )
        if not inner:
            break
        answer = inner
    return bare(answer)


def bare(answer: str) -> str:
    """What follows "the answer is", without a reason behind it and without closing marks."""
    answer = re.sub(r"\s*[\u2600-\u27bf\U0001f300-\U0001faff]+$", "", answer.strip())
    answer = _REASON.sub("", answer[:-1] if answer[-2:-1] not in ".\\" and answer[-1:] in ".。" else answer).strip()
    answer = re.sub(r"^[:*_`\s]+|[*_`\s]+$", "", answer)
    if (answer[-1:] in ".。" and answer[-2:] != "..") or answer[-2:] in ("$!", "*!"):  # 42! may be a factorial
        answer = answer[:-1]
    answer = re.sub(r"^[*_`\s]+|[*_`\s]+$", "", answer).strip()
    return answer.strip('"').strip()
