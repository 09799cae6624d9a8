isthmus_fuzz(sip_uri LINKS isthmus_sip)
