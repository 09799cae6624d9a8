isthmus_fuzz(stream_framer LINKS isthmus_sip)
