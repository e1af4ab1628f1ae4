"""Traces for tests: the real ones where the folder beside the checkout has them, else generated ones."""

import datetime as dt
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

REAL_FOLDER: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
FROM: Final = "2017-09-24"
_QUOTED: Final = {"T4 (16 GB)": 53, "V100 (16 GB)": 190, "V100 (32 GB)": 250, "P100 (16 GB)": 120, "A10": 150}
_MODELS: Final = ("T4", "P100", "V100M16", "V100M32", "A10")


class TraceFiles(NamedTuple):
    """The three files of a replay."""

    bids: Path
    offers: Path
    quotes: Path

    def arguments(self) -> list[str]:
        """Return the options that name them."""
        return ["--bids", str(self.bids), "--offers", str(self.offers), "--quotes", str(self.quotes)]


def real_traces() -> TraceFiles | None:
    """Return the recorded traces, None where they are not there."""
    found = TraceFiles(
        REAL_FOLDER / "bids_philly_until_2017-11-12.csv.gz",
        REAL_FOLDER / "offers_openb_nodes.csv",
        REAL_FOLDER / "quotes_cloud_gpus_2022-08_to_2023-10.csv.gz",
    )
    return found if all(path.exists() for path in found) else None


def generated_traces(folder: Path, *, seed: int, bids: int, hours: int, nodes: int = 80) -> TraceFiles:
    """Write a trace from `FROM` on: many small jobs, some gangs, long ones, and ones with alternatives."""
    rng = Random(seed)
    begin = dt.datetime.fromisoformat(FROM).replace(tzinfo=dt.UTC)
    seconds = sorted(int(hours * 3600 * rng.random()) for _ in range(bids))
    lines = ["order_id,submitted_at,buyer,gpu_model,gpus,gpu_milli,hours"]
    for number, second in enumerate(seconds):
        submitted_at = (begin + dt.timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
        model = rng.choice(["", "", "", "T4", "P100|V100M16", "V100M16|V100M32|T4"])
        milli = 500 if rng.randrange(50) == 0 else 1000
        gpus = rng.choice([1, 1, 1, 1, 2, 4, 8, 16])
        run = rng.choice([1, 1, 1, 2, 3, 8, 20])
        lines.append(f"job-{number},{submitted_at},team-{rng.randrange(5)},{model},{gpus},{milli},{run}")
    offers = ["offer_id,provider,gpu_model,gpus"]
    offers += [
        f"node-{number},cloud-{number % 3},{rng.choice(_MODELS)},{rng.choice([1, 2, 4, 8])}"
        for number in range(nodes)
    ]
    quotes = ["gpu_model,ask_usd_gpu_h"]
    for model, cents in _QUOTED.items():
        quotes += [f"{model},{cents * rng.randint(70, 140) / 10_000:.4f}" for _ in range(20)]
    files = TraceFiles(folder / "bids.csv", folder / "offers.csv", folder / "quotes.csv")
    for path, rows in zip(files, (lines, offers, quotes), strict=True):
        path.write_text("\n".join(rows) + "\n")
    return files
