isthmus_fuzz(token LINKS isthmus_session)
