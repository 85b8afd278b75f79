"""Terraform for AWS, read and judged: all is encrypted, nothing is public, nobody may do more than is said why."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
from deployed import ROOT

FOLDER = ROOT / "conf" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
TERRAFORM = shutil.which("terraform")
BLOCKED = (("block", "acls"), ("block", "policy"), ("ignore", "acls"))
KEY = "${aws_kms_key.this.arn}"
WILDCARDS = {
    ("host", "SessionManager"): "resources",
    ("snapshots", "Look"): "resources",
    ("key", "Account"): "actions resources",
    ("key", "Logs"): "resources",
    ("only_tls", "OnlyTls"): "actions",
}
"""Statements with a `*` for which AWS offers nothing narrower, or which deny; a comment above each says so."""


def plain(value: Any) -> Any:
    """Without the quotes and marks that the reader keeps."""
    if isinstance(value, dict):
        return {k.strip('"'): plain(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value.strip('"') if isinstance(value, str) else value


DOCUMENTS: list[dict[str, Any]] = [plain(hcl2.loads(file.read_text("utf-8"))) for file in FILES]


def blocks(kind: str) -> Iterator[tuple[str, Any]]:
    for document in DOCUMENTS:
        for block in document.get(kind, []):
            yield from block.items()


RESOURCES = {(kind, name): body for kind, named in blocks("resource") for name, body in named.items()}
DATA = {(kind, name): body for kind, named in blocks("data") for name, body in named.items()}
VARIABLES, OUTPUTS = dict(blocks("variable")), dict(blocks("output"))
LOCALS = {name for document in DOCUMENTS for block in document.get("locals", []) for name in block}
STATEMENTS = [
    (name, statement)
    for (kind, name), body in DATA.items() if kind == "aws_iam_policy_document"
    for statement in body["statement"]
]  # fmt: skip


def of(kind: str) -> list[dict[str, Any]]:
    found = [body for (each, _), body in RESOURCES.items() if each == kind]
    assert found, kind
    return found


def test_every_reference_is_to_what_is_there_and_all_that_is_there_is_used() -> None:
    text = "\n".join(re.sub(r"#.*", "", file.read_text("utf-8")) for file in FILES)
    assert {*re.findall(r"\bvar\.(\w+)", text)} == {*VARIABLES}
    assert {*re.findall(r"\blocal\.(\w+)", text)} == LOCALS
    assert {*re.findall(r"\bdata\.(aws_\w+)\.(\w+)", text)} == {*DATA}
    referred = {*re.findall(r"(?<![\w.\"])(aws_\w+)\.(\w+)", re.sub(r"\bdata\.aws_\w+", "", text))}
    assert referred <= {*RESOURCES}


def test_every_variable_and_output_says_what_it_is() -> None:
    for name, body in [*VARIABLES.items(), *OUTPUTS.items()]:
        assert len(body.get("description", "")) > 10, name
    assert all("type" in body for body in VARIABLES.values())


def test_what_can_be_encrypted_is() -> None:
    for volume in (*of("aws_ebs_volume"), *(disk for host in of("aws_instance") for disk in host["root_block_device"])):
        assert (volume["encrypted"], volume["kms_key_id"]) == (True, KEY)
    for kind in ("aws_cloudwatch_log_group", "aws_secretsmanager_secret"):
        assert [body["kms_key_id"] for body in of(kind)] == [KEY] * len(of(kind))
    [cluster], [key] = of("aws_msk_cluster"), of("aws_kms_key")
    [encryption] = cluster["encryption_info"]
    assert encryption["encryption_at_rest_kms_key_arn"] == KEY
    assert encryption["encryption_in_transit"] == [{"client_broker": "TLS", "in_cluster": True}]
    assert key["enable_key_rotation"] is True


def test_a_bucket_is_versioned_encrypted_private_and_asked_by_tls_alone() -> None:
    [bucket] = [name for kind, name in RESOURCES if kind == "aws_s3_bucket"]
    for part in (
        "versioning", "server_side_encryption_configuration", "public_access_block", "ownership_controls",
        "lifecycle_configuration", "policy",
    ):  # fmt: skip
        assert RESOURCES[f"aws_s3_bucket_{part}", bucket]["bucket"] == f"${{aws_s3_bucket.{bucket}.id}}"
    assert RESOURCES["aws_s3_bucket_versioning", bucket]["versioning_configuration"] == [{"status": "Enabled"}]
    [rule] = RESOURCES["aws_s3_bucket_server_side_encryption_configuration", bucket]["rule"]
    assert rule["apply_server_side_encryption_by_default"] == [{"sse_algorithm": "aws:kms", "kms_master_key_id": KEY}]
    block = RESOURCES["aws_s3_bucket_public_access_block", bucket]
    assert [block[f"{do}_public_{what}"] for do, what in BLOCKED] == [True] * 3
    assert block["restrict_public_buckets"] is True
    [denied] = [statement for name, statement in STATEMENTS if name == "only_tls"]
    assert denied["effect"] == "Deny"
    assert denied["condition"] == [{"test": "Bool", "variable": "aws:SecureTransport", "values": ["false"]}]


def test_nothing_is_reached_from_outside() -> None:
    [host], [cluster] = of("aws_instance"), of("aws_msk_cluster")
    assert host["associate_public_ip_address"] is False
    assert host["subnet_id"].startswith("${aws_subnet.private[")
    assert host["metadata_options"] == [{"http_tokens": "required", "http_put_response_hop_limit": 1}]
    [nodes] = cluster["broker_node_group_info"]
    assert nodes["connectivity_info"] == [{"public_access": [{"type": "DISABLED"}]}]
    assert nodes["client_subnets"] == "${aws_subnet.private[*].id}"
    assert not any(subnet.get("map_public_ip_on_launch", False) for subnet in of("aws_subnet"))
    for rule in of("aws_vpc_security_group_ingress_rule"):
        assert rule["referenced_security_group_id"].startswith("${aws_security_group.")
        assert not {"cidr_ipv4", "cidr_ipv6"} & {*rule}
    for group in (*of("aws_security_group"), *of("aws_default_security_group")):
        assert not {"ingress", "egress"} & {*group}, "rules are resources of their own, which the ones above judge"
    for rule in of("aws_vpc_security_group_egress_rule"):
        assert rule["from_port"] == rule["to_port"]
    [gateway] = [route for table in of("aws_route_table") for route in table["route"] if "gateway_id" in route]
    assert gateway["gateway_id"] == "${aws_internet_gateway.this.id}"
    routed = of("aws_route_table_association")
    public = [body["subnet_id"] for body in routed if "route_table.nat." in body["route_table_id"]]
    assert public == ["${aws_subnet.nat.id}"]


def test_nobody_may_do_more_than_is_said_why() -> None:
    found = dict[tuple[str, str], str]()
    for name, statement in STATEMENTS:
        wild = [
            what for what, pattern in (("actions", r"\*"), ("resources", r"^\*$"))
            if any(re.search(pattern, each) for each in statement.get(what, []))
        ]  # fmt: skip
        if wild:
            found[name, statement["sid"]] = " ".join(wild)
    assert found == WILDCARDS
    text = "\n".join(file.read_text("utf-8") for file in FILES)
    for _, sid in WILDCARDS:
        assert re.search(rf"  # .*(`\*`|All of).*\n  statement {{\n    sid +=\s+\"{sid}\"", text), (
            f"{sid} does not say why"
        )


def test_everybody_is_named_only_where_it_is_denied() -> None:
    for _, statement in STATEMENTS:
        for principal in statement.get("principals", []):
            if "*" in principal["identifiers"]:
                assert statement["effect"] == "Deny"
    assert not {kind for kind, _ in RESOURCES} & {
        "aws_iam_role_policy_attachment",
        "aws_iam_access_key",
        "aws_iam_user",
    }
    text = "\n".join(file.read_text("utf-8") for file in FILES)
    assert "jsonencode" not in text, "a policy that the test above does not see"


def test_no_secret_is_in_a_file_or_a_state() -> None:
    kinds = {kind for kind, _ in RESOURCES}
    assert not {"aws_secretsmanager_secret_version", "random_password", "aws_db_instance"} & kinds
    assert not any(re.search("password|secret|token", name) for name in VARIABLES)


def test_the_log_is_one_that_loses_nothing() -> None:
    [configuration], [cluster] = of("aws_msk_configuration"), of("aws_msk_cluster")
    for line in ("auto.create.topics.enable=false", "min.insync.replicas=2", "unclean.leader.election.enable=false"):
        assert line in configuration["server_properties"]
    assert cluster["number_of_broker_nodes"] == 3


def test_the_storage_root_is_a_volume_that_is_kept_and_copied() -> None:
    [volume], [policy] = of("aws_ebs_volume"), of("aws_dlm_lifecycle_policy")
    assert volume["lifecycle"] == [{"prevent_destroy": True}]
    [details] = policy["policy_details"]
    assert details["target_tags"].items() <= volume["tags"].items()


def test_nothing_is_made_of_what_dovetail_cannot_use_yet() -> None:
    emr = [name for name in RESOURCES if "emr" in name[0] or "emr" in name[1]]
    assert emr
    assert all(RESOURCES[name]["count"].startswith("${var.emr_release == null ? 0 :") for name in emr)
    assert VARIABLES["emr_release"]["default"] in (None, "null")


def test_the_first_boot_puts_the_volume_where_the_units_look_for_it() -> None:
    script = FOLDER / "host.sh"
    common = (ROOT / "conf" / "systemd" / "dovetail-.service.d" / "layer.conf").read_text("utf-8")
    assert "RequiresMountsFor=/var/lib/dovetail" in common
    assert '"$disk /var/lib/dovetail xfs ' in script.read_text("utf-8")
    # What Terraform fills in is all that is written as ${…}.
    assert re.findall(r"\$\{[^}]*\}", script.read_text("utf-8")) == ['${replace(volume, "-", "")}']
    shell = re.sub(r"\$\{.*?\}", "vol0", script.read_text("utf-8"))
    assert subprocess.run(["bash", "-n"], input=shell, capture_output=True, text=True, check=False).stderr == ""


def test_the_readme_lists_every_file_and_variable_without_a_default() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    listed = {*re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)}
    assert listed == {f.name for f in FOLDER.iterdir() if f.suffix in (".tf", ".sh") and f.name not in (
        "versions.tf", "variables.tf", "outputs.tf")}  # fmt: skip
    for name in (name for name, body in VARIABLES.items() if "default" not in body):
        assert f"-var {name}=" in text
    assert {*re.findall(r"terraform output (?:-raw )?(\w+)", text)} <= {*OUTPUTS}


@pytest.mark.skipif(TERRAFORM is None, reason="could: terraform is not installed")
def test_terraform_reads_it_and_would_write_it_so(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", str(FOLDER)],
        env={"PATH": str(Path(TERRAFORM or "").parent), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
