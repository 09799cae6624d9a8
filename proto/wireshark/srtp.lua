-- Opens SRTP packets with AEAD_AES_128_GCM (RFC 3711, RFC 7714) for isthmus.lua, which loads it.
-- Wireshark's Lua has no ciphers before 4.2.

-- AES-128 (FIPS 197), the direction that counter mode needs. Words are 32 bits wide, as the library of bits has them.
local band, bor, bxor = bit.band, bit.bor, bit.bxor
local lshift, rshift, rol = bit.lshift, bit.rshift, bit.rol
local SBOX, MIX = {}, {}

local function double(byte)
  return bxor(band(lshift(byte, 1), 255), byte >= 128 and 0x1b or 0)
end

do
  local power, inverse = 1, 1 -- of the generator 3 of GF(2^8)
  repeat
    power = bxor(power, double(power))
    inverse = bxor(inverse, lshift(inverse, 1))
    inverse = bxor(inverse, lshift(inverse, 2))
    inverse = band(bxor(inverse, lshift(inverse, 4)), 255)
    if inverse >= 128 then inverse = bxor(inverse, 9) end
    local twice = inverse * 257 -- so that shifts turn the byte
    SBOX[power] = band(bxor(twice, rshift(twice, 7), rshift(twice, 6), rshift(twice, 5),
      rshift(twice, 4), 0x63), 255)
  until power == 1
  SBOX[0] = 0x63
  for i = 0, 255 do
    local s = SBOX[i]
    MIX[i] = bor(lshift(double(s), 24), lshift(s, 16), lshift(s, 8), bxor(double(s), s))
  end
end

local function substitute(word)
  return bor(lshift(SBOX[band(rshift(word, 24), 255)], 24), lshift(SBOX[band(rshift(word, 16), 255)], 16),
    lshift(SBOX[band(rshift(word, 8), 255)], 8), SBOX[band(word, 255)])
end

local function expand(key)
  local w, round = { [0] = key[1], key[2], key[3], key[4] }, 1
  for i = 4, 43 do
    local last = w[i - 1]
    if i % 4 == 0 then
      last = bxor(substitute(rol(last, 8)), lshift(round, 24))
      round = double(round)
    end
    w[i] = bxor(w[i - 4], last)
  end
  return w
end

local function encrypt(w, a, b, c, d)
  a, b, c, d = bxor(a, w[0]), bxor(b, w[1]), bxor(c, w[2]), bxor(d, w[3])
  local function column(p, q, r, s, key)
    return bxor(MIX[band(rshift(p, 24), 255)], rol(MIX[band(rshift(q, 16), 255)], 24),
      rol(MIX[band(rshift(r, 8), 255)], 16), rol(MIX[band(s, 255)], 8), key)
  end
  local function last(p, q, r, s, key)
    return bxor(lshift(SBOX[band(rshift(p, 24), 255)], 24), lshift(SBOX[band(rshift(q, 16), 255)], 16),
      lshift(SBOX[band(rshift(r, 8), 255)], 8), SBOX[band(s, 255)], key)
  end
  for i = 4, 36, 4 do
    a, b, c, d = column(a, b, c, d, w[i]), column(b, c, d, a, w[i + 1]), column(c, d, a, b, w[i + 2]),
      column(d, a, b, c, w[i + 3])
  end
  return last(a, b, c, d, w[40]), last(b, c, d, a, w[41]), last(c, d, a, b, w[42]), last(d, a, b, c, w[43])
end

-- GHASH (NIST SP 800-38D) by multiples of the key for four bits at a time.
local REDUCE = {}
local function halve(v) -- multiplies by x
  local out = band(v[4], 1)
  return { bxor(rshift(v[1], 1), out == 1 and 0xe1000000 or 0), bor(rshift(v[2], 1), lshift(v[1], 31)),
    bor(rshift(v[3], 1), lshift(v[2], 31)), bor(rshift(v[4], 1), lshift(v[3], 31)) }
end
for i = 0, 15 do
  local v = { 0, 0, 0, i }
  for _ = 1, 4 do v = halve(v) end
  REDUCE[i] = v[1]
end

local function multiples(h1, h2, h3, h4)
  local m = { [0] = { 0, 0, 0, 0 }, [8] = { h1, h2, h3, h4 } }
  m[4] = halve(m[8])
  m[2] = halve(m[4])
  m[1] = halve(m[2])
  for i = 1, 15 do
    local lowest = i % 2 == 1 and 1 or i % 4 == 2 and 2 or i % 8 == 4 and 4 or 8
    local a, b = m[lowest], m[i - lowest]
    m[i] = { bxor(a[1], b[1]), bxor(a[2], b[2]), bxor(a[3], b[3]), bxor(a[4], b[4]) }
  end
  return m
end

local function ghash(m, words)
  local a, b, c, d = 0, 0, 0, 0
  for at = 1, #words, 4 do
    local x = { bxor(a, words[at]), bxor(b, words[at + 1]), bxor(c, words[at + 2]), bxor(d, words[at + 3]) }
    a, b, c, d = 0, 0, 0, 0
    for i = 4, 1, -1 do
      for shift = 0, 28, 4 do
        local out = band(d, 15)
        d = bor(rshift(d, 4), lshift(c, 28))
        c = bor(rshift(c, 4), lshift(b, 28))
        b = bor(rshift(b, 4), lshift(a, 28))
        a = bxor(rshift(a, 4), REDUCE[out])
        local n = m[band(rshift(x[i], shift), 15)]
        a, b, c, d = bxor(a, n[1]), bxor(b, n[2]), bxor(c, n[3]), bxor(d, n[4])
      end
    end
  end
  return a, b, c, d
end

local function words_of(hex)
  local words = {}
  for i = 1, #hex, 8 do
    local part = hex:sub(i, i + 7)
    words[#words + 1] = tonumber(part .. string.rep("0", 8 - #part), 16)
  end
  return words
end

-- RFC 3711 section 4.3 with RFC 7714 section 11.
local function session_keys(master, salt)
  local w, s = expand(words_of(master)), words_of(salt)
  local k = { encrypt(w, s[1], s[2], s[3], 0) }
  local x = { encrypt(w, s[1], bxor(s[2], 2), s[3], 0) }
  local schedule = expand(k)
  return { schedule = schedule, salt = x, multiples = multiples(encrypt(schedule, 0, 0, 0, 0)) }
end

-- The counter with its turns of 65,536 (RFC 3711 section 3.3.1) is not in the packet, only its end:
-- the tag tells which one it was. A turn takes 20 minutes of a call.
local MOST_TURNS = 1024

-- Header (12 bytes), sealed payload and tag in hex; `key` has the master key and salt, and keeps what
-- is found out. Returns the payload in hex and the index, or nothing when the tag is not right.
local function open(key, header, sealed, tag)
  key.session = key.session or session_keys(key.master, key.salt)
  local session = key.session
  local words = words_of(header)
  words[4] = 0
  for i, word in ipairs(words_of(sealed)) do words[4 + i] = word end
  while #words % 4 ~= 0 do words[#words + 1] = 0 end
  for _, word in ipairs({ 0, 96, 0, #sealed * 4 }) do words[#words + 1] = word end
  local hash, said = { ghash(session.multiples, words) }, words_of(tag)
  local sequence, ssrc = tonumber(header:sub(5, 8), 16), tonumber(header:sub(17, 24), 16)
  local function try(turn)
    local iv1 = bxor(session.salt[1], rshift(ssrc, 16))
    local iv2 = bxor(session.salt[2], lshift(ssrc, 16), rshift(turn, 16))
    local iv3 = bxor(session.salt[3], lshift(turn, 16), sequence)
    local m1, m2, m3, m4 = encrypt(session.schedule, iv1, iv2, iv3, 1)
    if bxor(m1, hash[1], said[1]) ~= 0 or bxor(m2, hash[2], said[2]) ~= 0 or
      bxor(m3, hash[3], said[3]) ~= 0 or bxor(m4, hash[4], said[4]) ~= 0 then return nil end
    local plain, cipher = {}, words_of(sealed)
    for at = 1, #cipher, 4 do
      local pad = { encrypt(session.schedule, iv1, iv2, iv3, 2 + (at - 1) / 4) }
      for i = 0, 3 do
        if cipher[at + i] then plain[#plain + 1] = bit.tohex(bxor(cipher[at + i], pad[i + 1])) end
      end
    end
    key.turn = turn
    return table.concat(plain):sub(1, #sealed), turn * 65536 + sequence
  end
  local guess = key.turn or 0
  for _, turn in ipairs({ guess, guess + 1, math.max(guess - 1, 0) }) do
    local plain, index = try(turn)
    if plain then return plain, index end
  end
  if key.turn then return nil end
  for turn = 2, MOST_TURNS do
    local plain, index = try(turn)
    if plain then return plain, index end
  end
  return nil
end

return { open = open }
