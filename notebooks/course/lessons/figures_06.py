"""Lesson 06: a text whose copied characters are marked."""

import html


def marked(text: str, copied: set[int], title: str) -> str:
    """The text as HTML, the characters at the places in `copied` marked by color and underline."""
    style = "background:#fbe3b0;color:#1a1a1a;text-decoration:underline"
    parts = [html.escape(c) if i not in copied else f"\0{html.escape(c)}\1" for i, c in enumerate(text)]
    body = "".join(parts).replace("\1\0", "").replace("\0", f'<mark style="{style}">').replace("\1", "</mark>")
    heading = f"<strong>{html.escape(title)}</strong>: {len(copied) / max(1, len(text)):.0%} copied"
    return f'<p>{heading}</p><pre style="line-height:1.5;white-space:pre-wrap">{body}</pre>'
