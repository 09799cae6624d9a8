isthmus_fuzz(rtcp LINKS isthmus_rtp)
