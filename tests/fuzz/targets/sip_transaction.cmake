isthmus_fuzz(sip_transaction LINKS isthmus_sip)
