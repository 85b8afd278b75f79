"""Files that deploy Dovetail, with a right too many, a name that is not there, or without what keeps data."""

from __future__ import annotations

from mutant import Mutant

IMAGES, COMPOSE, HEALTHY = (f"tests/docker/test_{n}.py" for n in ("images", "compose", "healthy"))
SYSTEMD, KUBERNETES, TERRAFORM = (f"tests/conf/test_{n}.py" for n in ("systemd", "kubernetes", "terraform"))
OF_LAYER, OF_ACCESS = "conf/systemd/dovetail-.service.d/layer.conf", "conf/terraform/access.tf"
NO_RIGHTS = f"{COMPOSE}::test_a_service_has_a_version_and_no_rights"
ITS_RIGHTS = f"{SYSTEMD}::test_a_layer_has_no_rights_but_its_own"
SAID_WHY = f"{TERRAFORM}::test_nobody_may_do_more_than_is_said_why"
OUTSIDE = f"{TERRAFORM}::test_nothing_is_reached_from_outside"

DEPLOYS = [
    Mutant("deploy", "an image runs as root", "docker/Dockerfile", "USER 10001:10001\nEXPOSE", "USER 0:0\nEXPOSE",
           f"{IMAGES}::test_an_image_runs_its_layer_as_nobody_in_particular"),
    Mutant("deploy", "a base is whatever is newest", "docker/Dockerfile", "FROM python:3.11.13-slim-bookworm AS",
           "FROM python:latest AS", f"{IMAGES}::test_a_base_is_a_stage_above_or_pinned_by_its_version"),
    Mutant("deploy", "serving brings Spark", "docker/Dockerfile", "'.[otel,s3]'", "'.[otel,spark]'",
           f"{IMAGES}::test_serving_has_neither_java_nor_spark_and_the_others_have_one_that_fits"),
    Mutant("deploy", "a build sends whatever lies about", "docker/Dockerfile.dockerignore", "\n*\n", "\n",
           f"{IMAGES}::test_what_is_sent_to_the_builder_is_what_a_wheel_is_made_of_and_is_there"),
    Mutant("deploy", "a container's root can be written", "docker/compose.yml",
           '10001"\n  read_only: true', '10001"\n  read_only: false', NO_RIGHTS),
    Mutant("deploy", "a container keeps its capabilities", "docker/compose.yml",
           "read_only: true\n  cap_drop: [ALL]", "read_only: true\n  cap_drop: []", NO_RIGHTS),
    Mutant("deploy", "a port is open to the network", "docker/compose.yml", '"127.0.0.1:3000:3000"', '"3000:3000"',
           NO_RIGHTS),
    Mutant("deploy", "a variable is no setting", "docker/compose.yml", "DOVETAIL__TELEMETRY__LOGS",
           "DOVETAIL__TELEMETRY__LOG",
           f"{COMPOSE}::test_what_a_layer_is_told_are_settings_and_they_fit_the_broker_and_the_volumes"),
    Mutant("deploy", "another container's lock counts", "docker/healthy.py", "lock.here and ", "",
           f"{HEALTHY}::test_a_layer_is_at_work_while_this_container_holds_its_lock"),
    Mutant("deploy", "a server that is not ready is healthy", "docker/healthy.py", "return False", "return True",
           f"{HEALTHY}::test_without_a_key_a_server_that_is_up_is_healthy_and_with_one_it_has_to_be_ready"),
    Mutant("deploy", "a unit may write everywhere", OF_LAYER,
           "ProtectSystem=strict\nProtectHome", "ProtectSystem=no\nProtectHome", ITS_RIGHTS),
    Mutant("deploy", "a JVM is told to end in mid write", OF_LAYER, "KillMode=mixed", "KillMode=control-group",
           ITS_RIGHTS),
    Mutant("deploy", "two batches at a time", "conf/kubernetes/batch.yaml", "Policy: Forbid", "Policy: Allow",
           f"{KUBERNETES}::test_of_archive_speed_and_batch_one_runs_at_a_time"),
    Mutant("deploy", "a pod's root can be written", "conf/kubernetes/speed.yaml", "readOnlyRootFilesystem: true",
           "readOnlyRootFilesystem: false", f"{KUBERNETES}::test_a_pod_has_no_rights"),
    Mutant("deploy", "the server is asked by a path that needs a key", "conf/kubernetes/serving.yaml",
           "path: /health", "path: /ready",
           f"{KUBERNETES}::test_the_server_is_asked_whether_it_is_up_by_a_path_and_a_name_that_need_no_key"),
    Mutant("deploy", "a volume is not encrypted", "conf/terraform/storage.tf", "encrypted         = true",
           "encrypted         = false", f"{TERRAFORM}::test_what_can_be_encrypted_is"),
    Mutant("deploy", "a machine has a public address", "conf/terraform/host.tf",
           "associate_public_ip_address = false", "associate_public_ip_address = true", OUTSIDE),
    Mutant("deploy", "the brokers are public", "conf/terraform/kafka.tf", '"DISABLED"', '"SERVICE_PROVIDED_EIPS"',
           OUTSIDE),
    Mutant("deploy", "a right is for every secret", OF_ACCESS, "[aws_secretsmanager_secret.pepper.arn]", '["*"]',
           SAID_WHY),
    Mutant("deploy", "a right is for every action", OF_ACCESS, '["s3:GetObject", "s3:PutObject"]', '["s3:*"]',
           SAID_WHY),
]  # fmt: skip
