# The storage root is this volume: `[storage] root` is a folder. The bucket is for copies, or for the root itself as s3://.

resource "aws_kms_key" "this" {
  description             = "${var.name}: volumes, bucket, log, secrets"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_ebs_volume" "data" {
  availability_zone = local.zones[0]
  size              = var.storage_gb
  type              = "gp3"
  encrypted         = true
  kms_key_id        = aws_kms_key.this.arn
  tags              = { Name = "${var.name}-data", snapshots = var.name }
  lifecycle {
    prevent_destroy = true
  }
}

# Of one volume, so of one moment: what a machine would find after a power cut, which every layer goes on from.
resource "aws_dlm_lifecycle_policy" "data" {
  description        = "${var.name}: nightly snapshots of the storage root"
  execution_role_arn = aws_iam_role.snapshots.arn
  policy_details {
    resource_types = ["VOLUME"]
    target_tags    = { snapshots = var.name }
    schedule {
      name      = "nightly"
      copy_tags = true
      create_rule {
        interval      = 24
        interval_unit = "HOURS"
        times         = ["04:00"]
      }
      retain_rule {
        count = var.snapshots_kept
      }
    }
  }
}

resource "aws_s3_bucket" "copies" {
  bucket_prefix = "${var.name}-copies-"
}

resource "aws_s3_bucket_versioning" "copies" {
  bucket = aws_s3_bucket.copies.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "copies" {
  bucket = aws_s3_bucket.copies.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this.arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "copies" {
  bucket                  = aws_s3_bucket.copies.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "copies" {
  bucket = aws_s3_bucket.copies.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "copies" {
  bucket = aws_s3_bucket.copies.id
  rule {
    id     = "old"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
}

resource "aws_s3_bucket_policy" "copies" {
  bucket = aws_s3_bucket.copies.id
  policy = data.aws_iam_policy_document.only_tls.json
}
