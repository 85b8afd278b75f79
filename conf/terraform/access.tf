# Who may do what. A `*` stands only where AWS knows no narrower resource, and a line above says so.

data "aws_iam_policy_document" "of_service" {
  for_each = toset(["ec2", "dlm", "vpc-flow-logs"])
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "host" {
  name_prefix        = "${var.name}-host-"
  assume_role_policy = data.aws_iam_policy_document.of_service["ec2"].json
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "${var.name}-host-"
  role        = aws_iam_role.host.name
}

resource "aws_iam_role_policy" "host" {
  role   = aws_iam_role.host.id
  policy = data.aws_iam_policy_document.host.json
}

data "aws_iam_policy_document" "host" {
  # Only `*`: Session Manager's actions know no resource.
  statement {
    sid = "SessionManager"
    actions = [
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
  statement {
    sid       = "Pepper"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.pepper.arn]
  }
  statement {
    sid       = "ListCopies"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.copies.arn]
  }
  # It deletes none: versions end by the bucket's own rule.
  statement {
    sid       = "Copies"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.copies.arn}/copies/*"]
  }
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.this.arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.amazonaws.com", "secretsmanager.${var.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "snapshots" {
  name_prefix        = "${var.name}-snapshots-"
  assume_role_policy = data.aws_iam_policy_document.of_service["dlm"].json
}

resource "aws_iam_role_policy" "snapshots" {
  role   = aws_iam_role.snapshots.id
  policy = data.aws_iam_policy_document.snapshots.json
}

data "aws_iam_policy_document" "snapshots" {
  # Only `*`: what describes knows no resource.
  statement {
    sid       = "Look"
    actions   = ["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"]
    resources = ["*"]
  }
  statement {
    sid     = "Make"
    actions = ["ec2:CreateSnapshot"]
    resources = [
      aws_ebs_volume.data.arn,
      "arn:${data.aws_partition.this.partition}:ec2:${var.region}::snapshot/*",
    ]
  }
  statement {
    sid       = "Name"
    actions   = ["ec2:CreateTags"]
    resources = ["arn:${data.aws_partition.this.partition}:ec2:${var.region}::snapshot/*"]
  }
  statement {
    sid       = "End"
    actions   = ["ec2:DeleteSnapshot"]
    resources = ["arn:${data.aws_partition.this.partition}:ec2:${var.region}::snapshot/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/snapshots"
      values   = [var.name]
    }
  }
}

resource "aws_iam_role" "flow_log" {
  name_prefix        = "${var.name}-network-"
  assume_role_policy = data.aws_iam_policy_document.of_service["vpc-flow-logs"].json
}

resource "aws_iam_role_policy" "flow_log" {
  role   = aws_iam_role.flow_log.id
  policy = data.aws_iam_policy_document.flow_log.json
}

data "aws_iam_policy_document" "flow_log" {
  statement {
    sid       = "Write"
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.network.arn}:*"]
  }
}

data "aws_iam_policy_document" "key" {
  # All of `kms:`, for the account: without it nobody could change the key ever after. `*` is this key, in its own policy.
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}:root"]
    }
  }
  # `*` is this key, in its own policy.
  statement {
    sid = "Logs"
    actions = [
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey",
      "kms:GenerateDataKeyWithoutPlaintext",
      "kms:ReEncryptFrom",
      "kms:ReEncryptTo",
    ]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values = [
        "arn:${data.aws_partition.this.partition}:logs:${var.region}:${data.aws_caller_identity.this.account_id}:log-group:/${var.name}/*",
      ]
    }
  }
}

data "aws_iam_policy_document" "only_tls" {
  # All of `s3:`, for everybody, denied.
  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.copies.arn, "${aws_s3_bucket.copies.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}
