"""Prints what pandas makes of records, one bucket a line, as JSON.

Arguments: a file of records (NDJSON, the wire form), and how long buckets are: some of hour, day, week and month.

Nothing here is taken from Afferent: how values combine is written down from HKQuantityAggregationStyle's documentation, the
calendar is pandas' own (days of a zone by date_range), and the arithmetic is its group-by. Rules that are Afferent's, from
docs/reference/transforms/statistics.md: a sample over an edge is divided by time, a discrete one counts in each bucket that it
touches, ends are exclusive, an instant weighs as a second, and each record belongs to the buckets of its own zone.
"""

import datetime
import json
import sys
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

SECOND = 1_000_000
HOUR = 3600 * SECOND

SUMS = {"StepCount", "DistanceWalkingRunning", "ActiveEnergyBurned", "FlightsClimbed"}
WEIGHTED = {"HeartRate", "RestingHeartRate", "WalkingHeartRateAverage", "CyclingPower"}
LEVELS = {"EnvironmentalAudioExposure", "HeadphoneAudioExposure"}
ARITHMETIC = {"OxygenSaturation", "RespiratoryRate", "BodyMass", "HeartRateVariabilitySDNN", "WalkingSpeed"}
NAMES = {
    "SleepAnalysis": ["inBed", "asleepUnspecified", "awake", "asleepCore", "asleepDeep", "asleepREM"],
    "MindfulSession": ["notApplicable"],
}

KEY = ["subject", "type", "unit", "zone", "lo", "hi"]


def newest(path):
    """The newest version of each record; none that was deleted."""
    records, deleted = {}, set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if record.get("deleted"):
                deleted.add(record["id"])
            elif record.get("revision", 0) >= records.get(record["id"], {}).get("revision", 0):
                records[record["id"]] = record
    return [record for identity, record in records.items() if identity not in deleted]


def frame_of(records):
    frame = pd.DataFrame(
        {
            "subject": [record.get("subject", "") for record in records],
            "type": [record["type"].split("TypeIdentifier", 1)[1] for record in records],
            "unit": [record.get("unit", "s") for record in records],
            "zone": [record.get("zone", "UTC") for record in records],
            "value": [float(record["value"]) for record in records],
        }
    )
    for column in ("start", "end"):
        times = pd.to_datetime(pd.Series([record[column] for record in records]), format="ISO8601", utc=True)
        frame[column] = times.dt.as_unit("us").astype("int64")
    return frame


def zone_of(name):
    if name[0] in "+-":
        sign = -1 if name[0] == "-" else 1
        hours, minutes = name[1:].split(":")
        return datetime.timezone(sign * datetime.timedelta(hours=int(hours), minutes=int(minutes)))
    return ZoneInfo(name)


def edges(name, bucket, first, last):
    """Where buckets of the zone begin, in µs, from before `first` until after `last`."""
    zone = zone_of(name)
    day = pd.Timestamp(first, unit="us", tz="UTC").tz_convert(zone).normalize() - pd.Timedelta(days=40)
    end = pd.Timestamp(last, unit="us", tz="UTC").tz_convert(zone).normalize() + pd.Timedelta(days=40)
    days = pd.date_range(day.tz_localize(None).normalize(), end.tz_localize(None).normalize(), freq="D")
    if bucket == "week":
        days = days[days.day_of_week == 0]
    elif bucket == "month":
        days = days[days.day == 1]
    starts = days.tz_localize(zone).as_unit("us").asi8
    if bucket != "hour":
        return starts
    hours = [np.arange(lo, hi, HOUR) for lo, hi in zip(starts[:-1], starts[1:])]
    return np.append(np.concatenate(hours), starts[-1])


def divided(frame, bucket):
    """A row for each sample and each bucket that it touches, with the bounds of the bucket and its time in it."""
    parts = []
    for name, rows in frame.groupby("zone", sort=False):
        at = edges(name, bucket, rows["start"].min(), rows["end"].max())
        start = rows["start"].to_numpy()
        end = rows["end"].to_numpy()
        first = np.searchsorted(at, start, side="right") - 1
        last = np.searchsorted(at, np.maximum(end, start + 1), side="left") - 1
        count = last - first + 1
        index = np.repeat(np.arange(len(rows)), count)
        within = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
        number = np.repeat(first, count) + within
        part = rows.iloc[index].copy()
        part["lo"], part["hi"] = at[number], at[number + 1]
        part["time"] = np.minimum(part["end"], part["hi"]) - np.maximum(part["start"], part["lo"])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def sums(rows):
    whole = rows["end"] - rows["start"]
    share = np.where(whole > 0, rows["time"] / whole.where(whole > 0, 1), 1.0)
    rows = rows.assign(part=rows["value"] * share)
    for key, sum_ in rows.groupby(KEY)["part"].sum().items():
        yield key, {"sum": sum_}


def ranges(rows, weigh, level):
    weight = np.where(rows["time"] > 0, rows["time"] / SECOND, 1.0) if weigh else np.ones(len(rows))
    value = 10.0 ** (rows["value"] / 10.0) if level else rows["value"]
    rows = rows.assign(weight=weight, weighed=value * weight)
    groups = rows.groupby(KEY).agg(
        min=("value", "min"), max=("value", "max"), weighed=("weighed", "sum"), weight=("weight", "sum")
    )
    mean = groups["weighed"] / groups["weight"]
    groups["avg"] = 10.0 * np.log10(mean) if level else mean
    for key, low, average, high in zip(groups.index, groups["min"], groups["avg"], groups["max"]):
        yield key, {"min": low, "avg": average, "max": high}


def durations(rows, names):
    rows = rows.assign(seconds=rows["time"] / SECOND)
    times = rows.groupby(KEY + ["value"])["seconds"].sum()
    results = {key: {"count": float(count)} for key, count in rows.groupby(KEY).size().items()}
    for (*key, value), seconds in times.items():
        value = int(value)
        name = names[value] if 0 <= value < len(names) else str(value)
        results[tuple(key)][name] = seconds
    yield from results.items()


def tell(frame, bucket):
    parts = divided(frame, bucket)
    for kind, rows in parts.groupby("type", sort=False):
        if kind in SUMS:
            results = sums(rows)
        elif kind in NAMES:
            results = durations(rows, NAMES[kind])
        elif kind in WEIGHTED | LEVELS | ARITHMETIC:
            results = ranges(rows, kind not in ARITHMETIC, kind in LEVELS)
        else:
            raise SystemExit(f"how values of {kind} combine is not written down")
        for (subject, kind, unit, zone, lo, hi), numbers in results:
            print(
                json.dumps(
                    {
                        "bucket": bucket,
                        "subject": subject,
                        "type": kind,
                        "unit": unit,
                        "zone": zone,
                        "start": int(lo),
                        "end": int(hi),
                        "results": {name: float(number) for name, number in numbers.items()},
                    }
                )
            )


everything = frame_of(newest(sys.argv[1]))
for length in sys.argv[2:]:
    tell(everything, length)
