isthmus_fuzz(registrar LINKS isthmus_provider)
