output "kafka_bootstrap" {
  description = "For [kafka] bootstrap, with options = { \"security.protocol\" = \"SSL\" }"
  value       = aws_msk_cluster.this.bootstrap_brokers_tls
}

output "host" {
  description = "The machine: aws ssm start-session --target …"
  value       = aws_instance.host.id
}

output "copies" {
  description = "The bucket for copies, under copies/"
  value       = aws_s3_bucket.copies.bucket
}

output "pepper" {
  description = "The secret whose value is yours to put"
  value       = aws_secretsmanager_secret.pepper.arn
}

output "kafka_clients" {
  description = "The security group of who may write to the log: put your producers into it"
  value       = aws_security_group.kafka_clients.id
}
