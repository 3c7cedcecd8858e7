"""Read what the script wrote: XMP sidecars, timestamps, cells of a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Dict, List
from xml.etree import ElementTree

import pyte

EPOCH = datetime(1970, 1, 1)
PREFIXES = {  # from Adobe's XMP specification, and one of the program's own
    "adobe:ns:meta/": "x",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://www.w3.org/XML/1998/namespace": "xml",
    "https://api.smugmug.com/api/v2/": "smugmug",
    "http://www.digikam.org/ns/1.0/": "digiKam",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
}


def short(tag: str) -> str:
    """Shorten an element or attribute name to "dc:title"; unknown namespaces are an error."""
    uri, local = tag[1:].split("}")
    return f"{PREFIXES[uri]}:{local}"


def everywhere(keywords: List[str]) -> Dict[str, List[str]]:
    """Return keywords in all places where programs look for them and take each as one."""
    return {
        "dc:subject": keywords,
        "digiKam:TagsList": [] if "/" in "".join(keywords) else keywords,
        "lr:hierarchicalSubject": [] if "|" in "".join(keywords) else keywords,
    }


def value_of(element: ElementTree.Element) -> Any:
    """Parse an XMP value: a text, a Bag as a list, an Alt as a dictionary by language."""
    if not len(element):
        return element.text
    (container,) = element
    assert {short(item.tag) for item in container} == {"rdf:li"}
    texts = [item.text for item in container]
    if short(container.tag) in ("rdf:Bag", "rdf:Seq"):
        return texts
    assert short(container.tag) == "rdf:Alt"
    return dict(
        zip(
            ({short(name): text for name, text in item.items()}["xml:lang"] for item in container),
            texts,
        )
    )


def xmp(content: bytes) -> Dict[str, Any]:
    """Return the properties in an XMP sidecar by name, such as "dc:title"."""
    assert content.decode("utf-8").startswith('<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(content)
    assert short(root.tag) == "x:xmpmeta"
    (graph,) = root
    assert short(graph.tag) == "rdf:RDF"
    (description,) = graph
    assert short(description.tag) == "rdf:Description"
    assert [(short(name), text) for name, text in description.items()] == [("rdf:about", "")]
    assert len({element.tag for element in description}) == len(description)
    return {short(element.tag): value_of(element) for element in description}


def seconds(moment: datetime, hours_ahead_of_utc: float = 0.0) -> float:
    """Return a time on a clock this many hours ahead of UTC, in seconds since 1970."""
    return (moment - EPOCH).total_seconds() - 3600 * hours_ahead_of_utc


def width(text: str) -> int:
    """Return the number of cells a text takes in a terminal."""
    screen = pyte.Screen(500, 1)
    pyte.Stream(screen).feed(text)
    return int(screen.cursor.x)
