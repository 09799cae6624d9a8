isthmus_fuzz(rtp LINKS isthmus_rtp)
