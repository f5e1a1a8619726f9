from __future__ import annotations

import json

from rich.console import Console, Group

from appliance.cli.showing.findings import findings_record, findings_rows, regions_table
from appliance.cli.showing.records import report_record, summary_record
from appliance.cli.showing.tables import board_view, report_view
from breathhold.v1 import triage_pb2
from breathhold.v1 import types_pb2 as pb

LOBE = {
    "name": "right_upper_lobe",
    "lung_ml": 1000.0,
    "po": 12.5,
    "pho": 2.5,
    "poi": 0.125,
    "lesion_ml": 125.0,
    "high_opacity_ml": 25.0,
}
REPORT = pb.Report(
    scores=pb.Scores(po=12.5),
    lss=7,
    lhos=2,
    ct_score=9,
    lobes=[
        pb.Region(
            name="right_upper_lobe",
            lung_ml=1000,
            po=12.5,
            pho=2.5,
            lesion_ml=125,
            high_opacity_ml=25,
        ),
        pb.Region(name="right_middle_lobe"),
    ],
    sides=[pb.Region(name="right_lung", lung_ml=1000, po=12.5, pho=2.5)],
    opacities=pb.Opacities(
        ggo_ml=400, consolidation_ml=100, ggo_percent=10, consolidation_percent=2.5
    ),
    lung_histogram=pb.Histogram(first_hu=-1024, bin_hu=16, ml=[1.0, 2.0]),
    lesion_histogram=pb.Histogram(first_hu=-1024, bin_hu=16, ml=[0.0, 0.5]),
    normal=pb.NormalComparison(
        hellinger=0.25, intersection_over_union=0.65, reference="our normals"
    ),
    severity_probability=0.875,
    quality={"noise_hu": 22.5, "motion": 0.5},
)


def text_of(view: object) -> str:
    console = Console(width=120, record=True, file=None)
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def test_the_record_has_every_promised_field() -> None:
    record = report_record(REPORT)
    assert record == json.loads(json.dumps(record))
    assert record["poi"] == 0.125
    assert (record["lss"], record["lhos"], record["ct_score"]) == (7, 2, 9)
    lobes = record["lobes"]
    assert isinstance(lobes, list)
    assert lobes[0] == LOBE
    assert lobes[1]["po"] is None
    assert lobes[1]["lung_ml"] == 0.0
    assert record["severity_probability"] == 0.875
    assert record["quality"] == {"motion": 0.5, "noise_hu": 22.5}
    assert record["normal"] == {
        "hellinger": 0.25,
        "intersection_over_union": 0.65,
        "reference": "our normals",
    }
    assert record["lung_histogram"] == {"first_hu": -1024, "bin_hu": 16, "ml": [1.0, 2.0]}


def test_what_is_not_known_is_null_and_never_zero() -> None:
    record = findings_record(pb.Report())
    assert record.pop("lobes") == record.pop("sides") == record.pop("segments") == []
    assert set(record.values()) == {None}
    assert list(findings_rows(pb.Report())) == []
    assert regions_table(pb.Report()) is None


def test_the_report_shows_lobes_and_sides() -> None:
    shown = text_of(Group(report_view(REPORT)))
    for words in (
        "7, 2 of 20",
        "9 of 25",
        "400 ml, 10.0 %",
        "right upper lobe",
        "right lung",
        "our normals",
        "0.25",
        "0.65",
        "88 %",
    ):
        assert words in shown
    assert shown.count("12.5 %") == 3


def test_segments_are_shown_where_they_are_known() -> None:
    alone = pb.Report(
        segments=[
            pb.Region(name="right_s1_apical", lung_ml=180, po=20, pho=5),
            pb.Region(name="left_s6_superior"),
        ]
    )
    both = pb.Report()
    both.CopyFrom(REPORT)
    both.MergeFrom(alone)
    assert "By segment" in text_of(regions_table(alone))
    assert "By lobe and segment" in text_of(regions_table(both))
    assert "By lobe\n" in "\n".join(
        line.rstrip() for line in text_of(regions_table(REPORT)).splitlines()
    )
    (row,) = [line for line in text_of(report_view(both)).splitlines() if "right s1 apical" in line]
    for words in ("180", "20.0 %", "5.0 %"):
        assert words in row
    segments = report_record(both)["segments"]
    assert isinstance(segments, list)
    assert [one["name"] for one in segments] == ["right_s1_apical", "left_s6_superior"]
    assert segments[0]["poi"] == 0.2
    assert segments[1]["po"] is None


def test_the_board_shows_lss_where_there_is_one() -> None:
    known, unknown = triage_pb2.ScanSummary(lss=13), triage_pb2.ScanSummary()
    assert summary_record(known)["lss"] == 13
    assert summary_record(unknown)["lss"] is None
    shown = text_of(board_view([known, unknown]))
    assert "LSS" in shown
    assert shown.count("13") == 1
