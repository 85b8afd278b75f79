# What keys are hashed under ([access] pepper). Its value is put there by hand, so that no state of Terraform holds it.
resource "aws_secretsmanager_secret" "pepper" {
  name_prefix             = "${var.name}-pepper-"
  description             = "What API keys are hashed under; lost, every key has to be made anew"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
}
