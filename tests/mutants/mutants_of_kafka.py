"""How Kafka lets us in, without its guards."""

from __future__ import annotations

from mutant import Mutant

DIALECTS, REACH, LOG = "shared/dialects.py", "shared/reach.py", "shared/log.py"
OF_DIALECTS, OF_SECURE = "tests/shared/test_dialects.py", "tests/e2e/test_secure_kafka.py"

KAFKA = [
    Mutant(
        "Kafka",
        "options that the protocol leaves unused are left out in silence",
        DIALECTS,
        "if unused and not used:",
        "if unused and used is None:",
        f"{OF_DIALECTS}::test_options_that_do_not_fit_together_are_refused",
    ),
    Mutant(
        "Kafka",
        "an option that one client does not know is passed on",
        DIALECTS,
        "if name not in KNOWN:",
        "if not name:",
        f"{OF_DIALECTS}::test_what_one_client_would_not_understand_is_refused_as_it_is_read",
    ),
    Mutant(
        "Kafka",
        "the login that is made for Java is not known as a secret",
        DIALECTS,
        "know(_quoted(of.password))",
        "_quoted(of.password)",
        f"{OF_DIALECTS}::test_a_login_is_said_to_each_client_in_its_own_words",
    ),
    Mutant(
        "Kafka",
        "the certificate that all may see has the key beside it",
        DIALECTS,
        'said["ssl.keystore.certificate.chain"] = _pem(KEYSTORE, of.keystore, "CERTIFICATE")',
        'said["ssl.keystore.certificate.chain"] = Path(of.keystore).read_text()',
        f"{OF_DIALECTS}::test_certificates_go_to_spark_as_text_and_to_the_others_as_files",
    ),
    Mutant(
        "Kafka",
        "a server that is off may take all the time there is",
        REACH,
        "answering(bootstrap) or servers",
        "servers",
        f"{OF_DIALECTS}::test_of_several_servers_those_that_are_off_are_left_out",
    ),
    Mutant(
        "Kafka",
        "a plan shows the login",
        "shared/engine.py",
        "|jaas[.]config|keystore[.]key",
        "",
        f"{OF_SECURE}::test_no_plan_of_spark_shows_the_login",
    ),
    Mutant(
        "Kafka",
        "a topic that one has no right to counts as missing",
        LOG,
        'if described["error_code"] == TOPIC_AUTHORIZATION_FAILED:',
        'if described["error_code"] == 0 and not topic:',
        f"{OF_SECURE}::test_a_topic_that_one_has_no_right_to_is_not_taken_for_one_that_is_missing",
    ),
]
