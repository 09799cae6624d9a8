isthmus_fuzz(digest LINKS isthmus_sip)
