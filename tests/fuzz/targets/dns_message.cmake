isthmus_fuzz(dns_message LINKS isthmus_dns)
