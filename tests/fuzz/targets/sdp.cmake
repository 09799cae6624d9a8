isthmus_fuzz(sdp LINKS isthmus_sdp)
