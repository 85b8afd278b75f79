# Prepared, and of no use to Dovetail yet: executors on other machines need a storage root that they reach, and
# `[storage] root` is a folder. Nothing of it is made while var.emr_release is null.

resource "aws_emrserverless_application" "batch" {
  count         = var.emr_release == null ? 0 : 1
  name          = "${var.name}-batch"
  type          = "spark"
  release_label = var.emr_release
  network_configuration {
    subnet_ids         = aws_subnet.private[*].id
    security_group_ids = [aws_security_group.host.id, aws_security_group.kafka_clients.id]
  }
  maximum_capacity {
    cpu    = "64 vCPU"
    memory = "256 GB"
    disk   = "1000 GB"
  }
  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = 10
  }
}

resource "aws_iam_role" "emr" {
  count              = var.emr_release == null ? 0 : 1
  name_prefix        = "${var.name}-emr-"
  assume_role_policy = data.aws_iam_policy_document.of_emr.json
}

resource "aws_iam_role_policy" "emr" {
  count  = var.emr_release == null ? 0 : 1
  role   = aws_iam_role.emr[0].id
  policy = data.aws_iam_policy_document.emr.json
}

data "aws_iam_policy_document" "of_emr" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["emr-serverless.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

data "aws_iam_policy_document" "emr" {
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.copies.arn]
  }
  statement {
    sid       = "States"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.copies.arn}/storage/*"]
  }
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.this.arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com"]
    }
  }
}
