"""Which pictures of the documents are drawn from data? `make pictures` draws them all."""

from __future__ import annotations

from tests.pictures import PICTURES
from tests.unit.docs.pages import ROOT

for path, draw in PICTURES.items():
    (ROOT / path).write_text(draw(), encoding="utf-8")
    print(path)
