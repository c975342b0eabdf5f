"""Goldens of chat templates: what Jinja2 3.1, set up as transformers sets it up, makes of them.

    pip install jinja2==3.1.6; python tests/golden/make_template_goldens.py

language.jsonl has small templates, one feature or mistake each, from expressions.txt (one a line, printed) and
blocks.txt (between lines of %%); families.jsonl the templates of
data/chat_template/families/, written in the manner of published ones, with many conversations.
A line is {"template" or "family", "messages", "add_generation_prompt", "kwargs", "rendered", "error"}, with the
generation blocks of the families in UTF-8 bytes. "error" is null or the exception's name: whether there is one counts.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

OUT = Path(__file__).parent / "data" / "chat_template"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
MARK = "\ue000"  # around generation blocks in a second rendering, to know where they are


class Generation(jinja2.ext.Extension):
    tags = {"generation"}
    marks = False

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_wrap"), [], [], body).set_lineno(line)

    def _wrap(self, caller):
        return MARK + caller() + MARK if Generation.marks else caller()


def environment() -> ImmutableSandboxedEnvironment:
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    return made


ENVIRONMENT = environment()


def golden(template: str, messages=(), add_generation_prompt=False, kwargs=None) -> dict:
    row = {"messages": list(messages), "add_generation_prompt": add_generation_prompt, "kwargs": kwargs or {}}
    variables = {"tools": None, "documents": None, **SPECIAL, **row["kwargs"]}
    variables |= {"messages": row["messages"], "add_generation_prompt": add_generation_prompt}
    try:
        row["rendered"], row["error"] = ENVIRONMENT.from_string(template).render(**variables), None
    except Exception as error:  # noqa: BLE001 - whatever a template does
        row["rendered"], row["error"] = None, type(error).__name__
    return row


def generations(template: str, row: dict) -> list[list[int]]:
    Generation.marks = True
    marked = golden(template, row["messages"], row["add_generation_prompt"], row["kwargs"])["rendered"]
    Generation.marks = False
    spans, at = [], 0
    for index, part in enumerate(marked.split(MARK)):
        size = len(part.encode())
        if index % 2 == 1 and size > 0:
            spans.append([at, at + size])
        at += size
    return spans


CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Caf\u00e9 \u4f60\u597d? "},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes \U0001f600."},
]
KWARGS = {
    "d": {"b": 1, "a": [1, 2.5, None, True], "C": {"x": "y"}, "items": "own"},
    "words": ["pear", "Apple", "fig", "apple"],
    "people": [{"name": "Ann", "age": 30, "home": {"city": "Rome"}}, {"name": "bob", "age": 25, "home": {"city": "Bern"}},
               {"name": "Cid", "age": 30, "home": {"city": "Rome"}}],
    "text": "Hello, W\u00f6rld!\n  second line\n\nthird\ttab ", "n": 7, "f": 2.5, "yes": True, "no": False, "nil": None,
    "empty": [], "quotes": "it's \"x\" \\ \n\u00e9\u200b", "big": 9007199254740993, "nums": [3, 1, 2, 2],
}

def language_cases() -> list[str]:
    expressions = (OUT / "expressions.txt").read_text().splitlines()
    blocks = (OUT / "blocks.txt").read_text().removesuffix("\n").split("\n%%\n")
    return ["{{ " + line + " }}" for line in expressions] + blocks


def conversations(chance: random.Random) -> list[dict]:
    texts = ["Hello", "  blanks around  ", "", "line\nline\n", "Caf\u00e9 \u4f60\u597d \U0001f600", "<think>\nhm\n</think>\n\nFour.",
             "a</think>b", "{\"json\": [1, 2]}", "```python\nprint(1)\n```", "<tool_response>\nx\n</tool_response>", "It's 5 < 6 & \"so\""]
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "Where"}, "days": {"type": "integer"}},
        "required": ["city"]}}}
    call = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "K\u00f6ln", "days": 2}}}
    made = []
    for number in range(24):
        chat = [{"role": "system", "content": chance.choice(texts)}] if chance.random() < 0.5 else []
        for turn in range(chance.randint(1, 4)):
            chat.append({"role": "user", "content": chance.choice(texts)})
            if number % 4 == 3:
                chat.append({"role": "assistant", "content": chance.choice(["", "Let me look."]), "tool_calls": [call] * chance.randint(1, 2)})
                chat.append({"role": "tool", "name": "weather", "tool_call_id": "call00001", "content": chance.choice(texts)})
            chat.append({"role": "assistant", "content": chance.choice(texts)})
            if number % 6 == 5:
                chat[-1]["reasoning_content"] = chance.choice(texts)
        if chance.random() < 0.4:
            chat.pop()
        if number == 8:
            chat = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
        if number == 9:
            chat = [{"role": "assistant", "content": "first"}, {"role": "narrator", "content": "?"}]
        if number == 10:
            chat = [{"role": "user", "content": [{"type": "text", "text": "parts"}, {"type": "image"}]}]
        kwargs = {"tools": [tool]} if number % 4 == 3 else {}
        if chance.random() < 0.3:
            kwargs["enable_thinking"] = chance.random() < 0.5
        made.append({"messages": chat, "add_generation_prompt": chance.random() < 0.5, "kwargs": kwargs})
    return made


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    with (OUT / "language.jsonl").open("w") as out:
        for template in language_cases():
            row = golden(template, CHAT, False, KWARGS)
            out.write(json.dumps({"template": template, "rendered": row["rendered"], "error": row["error"]}) + "\n")
    (OUT / "variables.json").write_text(json.dumps({"messages": CHAT, "kwargs": KWARGS, "special": SPECIAL}, indent=1) + "\n")
    with (OUT / "families.jsonl").open("w") as out:
        for path in sorted((OUT / "families").glob("*.jinja")):
            template = path.read_text()
            for chat in conversations(random.Random(11)):
                row = {"family": path.stem, **golden(template, **chat)}
                if row["error"] is None:
                    row["generations"] = generations(template, row)
                out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
