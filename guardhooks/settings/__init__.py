"""fail2ban's INI dialect in, one frozen typed `Jail` per enabled jail out."""
