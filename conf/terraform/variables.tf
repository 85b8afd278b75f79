variable "name" {
  description = "What everything is named by: lower-case letters, digits and hyphens"
  type        = string
  default     = "dovetail"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.name))
    error_message = "name: a lower-case letter, then up to 20 letters, digits and hyphens."
  }
}

variable "region" {
  description = "The AWS region; it needs three availability zones"
  type        = string
}

variable "cidr" {
  description = "The addresses of the VPC, a /16 to a /20"
  type        = string
  default     = "10.20.0.0/16"
}

variable "instance_type" {
  description = "The machine that every layer runs on: archive and speed take 1 to 2 GB each, serving holds its views in memory"
  type        = string
  default     = "m7i.xlarge"
}

variable "storage_gb" {
  description = "The volume of the storage root: the master dataset keeps every record's bytes"
  type        = number
  default     = 200
}

variable "snapshots_kept" {
  description = "How many nightly snapshots of that volume are kept"
  type        = number
  default     = 14
}

variable "kafka_version" {
  description = "A version that Amazon MSK offers"
  type        = string
  default     = "3.8.x"
}

variable "kafka_instance_type" {
  description = "The three brokers"
  type        = string
  default     = "kafka.m7g.large"
}

variable "kafka_storage_gb" {
  description = "Each broker's volume"
  type        = number
  default     = 100
}

variable "kafka_retention_hours" {
  description = "How long the log keeps a record: longer than any outage, for what neither log nor master has is lost"
  type        = number
  default     = 168
}

variable "log_days" {
  description = "How long CloudWatch keeps the logs of the brokers and of the network"
  type        = number
  default     = 90
}

variable "emr_release" {
  description = "An EMR release with Spark 4.2, for what is prepared in emr.tf; null makes nothing of it"
  type        = string
  default     = null
}
