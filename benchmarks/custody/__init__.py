"""What a master key on another machine costs: AWS KMS, as moto has it on loopback."""
