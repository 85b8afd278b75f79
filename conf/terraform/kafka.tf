# TLS, and whoever is in the group `kafka_clients`: names and passwords (SCRAM) are passed on by [kafka] options,
# but no test of Dovetail has asked a broker with them yet.

resource "aws_security_group" "kafka" {
  name_prefix = "${var.name}-kafka-"
  description = "The brokers"
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "kafka_clients" {
  name_prefix = "${var.name}-kafka-clients-"
  description = "Who may read and write the log"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "kafka_from_clients" {
  security_group_id            = aws_security_group.kafka.id
  referenced_security_group_id = aws_security_group.kafka_clients.id
  description                  = "TLS"
  ip_protocol                  = "tcp"
  from_port                    = 9094
  to_port                      = 9094
}

resource "aws_vpc_security_group_egress_rule" "clients_to_kafka" {
  security_group_id            = aws_security_group.kafka_clients.id
  referenced_security_group_id = aws_security_group.kafka.id
  description                  = "TLS"
  ip_protocol                  = "tcp"
  from_port                    = 9094
  to_port                      = 9094
}

resource "aws_msk_configuration" "this" {
  name           = var.name
  kafka_versions = [var.kafka_version]
  # No topic is made by accident, and none is lost with one broker.
  server_properties = <<-PROPERTIES
    auto.create.topics.enable=false
    default.replication.factor=3
    min.insync.replicas=2
    unclean.leader.election.enable=false
    log.retention.hours=${var.kafka_retention_hours}
  PROPERTIES
}

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = 3
  enhanced_monitoring    = "PER_BROKER"

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  broker_node_group_info {
    instance_type   = var.kafka_instance_type
    client_subnets  = aws_subnet.private[*].id
    security_groups = [aws_security_group.kafka.id]
    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }
    storage_info {
      ebs_storage_info {
        volume_size = var.kafka_storage_gb
      }
    }
  }

  client_authentication {
    unauthenticated = true
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = aws_kms_key.this.arn
    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.kafka.name
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "kafka" {
  name              = "/${var.name}/kafka"
  retention_in_days = var.log_days
  kms_key_id        = aws_kms_key.this.arn
}
