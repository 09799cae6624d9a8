isthmus_fuzz(sip_message LINKS isthmus_sip)
