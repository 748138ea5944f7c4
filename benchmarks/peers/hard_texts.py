"""Texts on either side of whatever datatrove's filters look at, for the vectors of tests/test_parity.py."""

from __future__ import annotations

from random import Random


def texts() -> dict[str, str]:
    """The texts by what they are about; the same on every machine."""
    dice = Random(7)
    stems = [
        "the",
        "of",
        "river",
        "stone",
        "light",
        "paper",
        "window",
        "morning",
        "letter",
        "market",
        "garden",
        "winter",
        "music",
    ]

    def sentence(words: int = 12) -> str:
        return " ".join(dice.choice(stems) for _ in range(words)).capitalize() + "."

    def page(lines: int = 8, words: int = 12) -> list[str]:
        return [sentence(words) for _ in range(lines)]

    made = {
        "plain": "\n".join(page()),
        "one line": " ".join(page()),
        "paragraphs": "\n\n".join(page()),
        "carriage returns": "\r\n".join(page()),
        "only returns": "\r".join(page()),
        "other breaks": "\u2028".join(page()) + "\x0b" + "\x85".join(page(3)),
        "three breaks": "\n\n\n".join(page()),
        "space at ends": " \n".join(page()) + "\n ",
        "indented": "\n\t ".join(page()),
        "blank lines": "\n \n".join(page()),
        "no full stops": "\n".join(line[:-1] for line in page()),
        "quoted ends": "\n".join(f"“{line}”" for line in page()),
        "straight quotes": "\n".join(f'"{line}"' for line in page()),
        "exclamations": "\n".join(line[:-1] + "!" for line in page()),
        "questions": "\n".join(line[:-1] + "?" for line in page()),
        "ellipses": "\n".join(line[:-1] + "..." for line in page()),
        "ellipsis character": "\n".join(line[:-1] + "…" for line in page()),
        "a few ellipses": "\n".join(page(8) + [line + ".." for line in page(2)]),
        "bullets": "\n".join(f"• {line}" for line in page()),
        "hyphen bullets": "\n".join(f"- {line}" for line in page()),
        "some bullets": "\n".join([f"- {line}" for line in page(4)] + page(5)),
        "hashes": "\n".join(f"{line} #tag # # #" for line in page()),
        "curly": "\n".join([*page(), "A line { with a bracket here."]),
        "curly in a line that goes": "\n".join([*page(), "{ code"]),
        "lorem": "\n".join([*page(), "Lorem Ipsum dolor sit amet here."]),
        "javascript": "\n".join([*page(), "Please enable JavaScript to go on."]),
        "cookies": "\n".join([*page(), "Read our cookie policy and the terms of use."]),
        "all javascript": "\n".join(f"Javascript {line}" for line in page()),
        "citations": "\n".join(f"{line[:-1]} [1] [edit] [citation needed]." for line in page()),
        "citation alone": "\n".join([*page(), "[12]", "[edit] [3]."]),
        "long word": "\n".join([*page(), "x" * 1001 + " and two more words."]),
        "word of a thousand": "\n".join([*page(), "x" * 1000 + " and two more words."]),
        "short lines": "\n".join(page(12, 3)),
        "two words": "\n".join(page(30, 2)),
        "list": "\n".join(dice.choice(stems) for _ in range(120)),
        "four sentences": " ".join(page(4, 15)),
        "five sentences": " ".join(page(5, 12)),
        "line twice": "\n".join([*(lines := page(6)), lines[0]]),
        "lines twice": "\n".join([*(lines := page(4)), *lines]),
        "long line twice": "\n".join([*page(10, 3), long := sentence(30), *page(4, 3), long]),
        "paragraph twice": "\n\n".join([*(lines := page(6)), lines[0], lines[1]]),
        "paragraphs twice": "\n\n".join([*(lines := page(3)), *lines]),
        "refrain": " ".join(f"{sentence(6)} And so the river went on its way." for _ in range(12)),
        "one word": "river " * 60,
        "two in turn": "river stone " * 40,
        "forty-nine words": sentence(49),
        "fifty words": sentence(50),
        "long words": " ".join("abcdefghijk" for _ in range(60)) + " the of.",
        "short words": " ".join("ab" for _ in range(60)) + " the of.",
        "digits": "\n".join(f"{line} {dice.randrange(9999)} {dice.random():.4f}" for line in page()),
        "numbers": " ".join(str(n) for n in range(80)) + " the of.",
        "punctuation": " ".join([". , ; :"] * 30),
        "no stop words": " ".join(dice.choice(stems[2:]) for _ in range(80)) + ".",
        "one stop word": " ".join(dice.choice(stems[2:]) for _ in range(80)) + " the.",
        "capital stop words": " ".join(dice.choice(stems[2:]) for _ in range(80)) + " THE OF.",
        "contractions": "\n".join(f"It isn't what they'd've said; {line}" for line in page()),
        "abbreviations": "\n".join(f"Dr. Gray of the U.S. says at 5 p.m. {line}" for line in page()),
        "addresses": "\n".join(f"See https://example.org/{n}?a=b or ask me@example.org." for n in range(12)),
        "smileys": "\n".join(f"{line} :) : ) ;-)" for line in page()),
        "emoji": "\n".join(f"{line} 🙂👩\u200d🚀" for line in page()),
        "only emoji": "🙂" * 80,
        "korean": "도서관은 저녁 아홉 시까지 문을 열어 둡니다. " * 8,
        "chinese": "图书馆开放到晚上九点。" * 12,
        "japanese": "\n".join(["図書館は夜の九時まで開いています。"] * 6),
        "arabic": "المكتبة مفتوحة حتى التاسعة مساء. " * 8,
        "thai": "ห้องสมุดเปิดถึงสามทุ่ม " * 20,
        "combining": "cafe\u0301 re\u0301sume\u0301 " * 30,
        "no-break spaces": "\u00a0".join(page()),
        "zero width": "\u200b".join(page()),
        "byte-order mark": "\ufeff" + "\n".join(page()),
        "nul": "\n".join(page()) + "\x00\x00",
        "replacement": "\n".join(f"{line} \ufffd" for line in page()),
        "mojibake": "\n".join(f"cafÃ© {line}" for line in page()),
        "only digits": "1234567890" * 20,
        "one character": "a",
        "only spaces": " " * 40,
        "only line feeds": "\n" * 10,
        "tabs": "\t".join(page()),
        "table": "\n".join(f"{n} | {sentence(3)} | {n * 7}" for n in range(12)),
        "code": "def f(x):\n    return {x: x + 1}\n" * 6,
        "html": "\n".join(f"<p>{line}</p>" for line in page()),
        "dashes": "\n".join(f"{line[:-1]} — a–b -- c--d ~ e." for line in page()),
        "slashes": "and/or he/she 24/7 a/b/c " * 15,
        "currency": "$5 £6.50 €7 5$ 10% 20°C 3km 4lb " * 10,
        "ellipses inside": " ".join(f"{line[:-1]} ... {line[:-1]} ... so" for line in page(12, 4)) + ".",
        "nested quotes": "\"'“‘’”'\" said (“she”) [and] {he} <it>. " * 10,
    }
    for run, count in ((6, 100), (7, 130), (8, 160)):
        # Three runs said twice, in as many words that one rule fails and those before it don't.
        words = ["".join(dice.choice("aeioulnrst") for _ in range(9)) for _ in range(count - 3 * run)]
        for _ in range(3):
            at, to = sorted(dice.sample(range(0, len(words) - run, run), 2))
            words[to:to] = words[at : at + run]
        made[f"runs of {run}"] = " ".join(words) + " the of."
    for number in range(40):
        choices = [*stems, ".", ",", "\n", "\n\n", "...", "-", "•", "'s", "#", "{"]
        pieces = [dice.choice(choices) for _ in range(dice.randrange(20, 200))]
        made[f"mixed {number}"] = dice.choice([" ", ""]).join(pieces)
    for number in range(40):
        lines = page(dice.randrange(2, 6), dice.randrange(3, 16))
        repeated = [dice.choice(lines) for _ in range(dice.randrange(2, 14))]
        made[f"repeated {number}"] = dice.choice(["\n", "\n\n", " "]).join(repeated)
    return made
