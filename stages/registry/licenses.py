"""Licenses: SPDX ids, the Hub's own names, and what says that there is no public license."""

import re
from difflib import get_close_matches

from packaging.licenses import _spdx

# The values of `license` in a model card's front matter: https://huggingface.co/docs/hub/repositories-licenses
_HUB = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0
lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
other
"""
HUB_IDS = frozenset(_HUB.split())
PRIVATE = "proprietary"
OWN = r"LicenseRef-[A-Za-z0-9.-]+"  # SPDX's form for a license that is not in its list


def license_problem(license: str) -> str | None:
    """What is wrong with a license id, with the ids that look like it; None where it is known."""
    plain = license.lower()
    if plain in HUB_IDS or plain in _spdx.LICENSES or plain == PRIVATE or re.fullmatch(OWN, license):
        return None
    close = get_close_matches(plain, sorted({*HUB_IDS, *_spdx.LICENSES, PRIVATE}), n=3, cutoff=0.7)
    spelt = [_spdx.LICENSES[each]["id"] if each not in HUB_IDS and each != PRIVATE else each for each in close]
    nearest = f" Did you mean {' or '.join(spelt)}?" if spelt else ""
    return (
        f"{license!r} is not an id of SPDX or of the Hub.{nearest} For a model that is not public, write {PRIVATE}, or "
        "LicenseRef-<name> for a license of your own"
    )


def license_fields(license: str) -> dict[str, str]:
    """The fields of a model card's front matter: the Hub takes its own ids alone, and `other` with a name."""
    plain = license.lower()
    return {"license": plain} if plain in HUB_IDS else {"license": "other", "license_name": plain}
