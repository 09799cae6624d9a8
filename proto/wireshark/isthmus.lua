-- Wireshark dissector for Isthmus links (PROTOCOL.md). The TCP link is the WebSocket subprotocol
-- isthmus.v1; the UDP link is QUIC with ALPN isthmus/1 and media packets on one port.
--
--   tshark -X lua_script:isthmus.lua -o tls.keylog_file:KEYS -o isthmus.media_keys:KEYS.srtp \
--     -d tcp.port==8443,tls -d udp.port==8443,isthmus_udp -r capture.pcap
--
-- SIP goes to the SIP dissector, RTP and RTCP to theirs; compact RTP is rebuilt first. Passwords and
-- tokens are not shown.

local srtp = dofile(__DIR__ .. "/srtp.lua")
local isthmus = Proto("isthmus", "Isthmus link")
local f = isthmus.fields

f.channel = ProtoField.uint32("isthmus.channel", "Channel")
f.length = ProtoField.uint32("isthmus.length", "Length")
f.bytes = ProtoField.bytes("isthmus.bytes", "Bytes")
f.control = ProtoField.string("isthmus.control", "Control message")
f.field = ProtoField.string("isthmus.control.field", "Field")
f.form = ProtoField.string("isthmus.form", "Form")
f.context = ProtoField.uint8("isthmus.compact.context", "Context")
f.marker = ProtoField.bool("isthmus.compact.marker", "Marker")
f.low_sequence = ProtoField.uint8("isthmus.compact.sequence", "Sequence number, low 8 bits")
f.timestamp = ProtoField.uint32("isthmus.compact.timestamp", "Timestamp")
f.rebuilt = ProtoField.bytes("isthmus.compact.rebuilt", "Rebuilt RTP header")
f.media_id = ProtoField.uint32("isthmus.media.id", "The receiver's media id (SSRC)", base.HEX)
f.counter = ProtoField.uint16("isthmus.media.counter", "The sender's counter")
f.clock = ProtoField.uint32("isthmus.media.clock", "The sender's clock, ms")
f.sealed = ProtoField.bytes("isthmus.media.payload", "Sealed frames")
f.tag = ProtoField.bytes("isthmus.media.tag", "Tag")
f.extended = ProtoField.uint64("isthmus.media.index", "Index: the counter with its turns")

local malformed = ProtoExpert.new("isthmus.malformed", "Malformed", expert.group.MALFORMED,
  expert.severity.ERROR)
local no_context = ProtoExpert.new("isthmus.compact.unknown", "Compact RTP that cannot be rebuilt",
  expert.group.UNDECODED, expert.severity.WARN)
local no_key = ProtoExpert.new("isthmus.media.sealed", "Media packet that cannot be opened",
  expert.group.UNDECODED, expert.severity.NOTE)
isthmus.experts = { malformed, no_context, no_key }
isthmus.prefs.media_keys = Pref.string("Keys of media packets", "",
  "File of lines SRTP <SSRC> AEAD_AES_128_GCM <key> <salt>: SSLKEYLOGFILE's name with .srtp behind it")

local tcp_stream = Field.new("tcp.stream")
local quic_connection = Field.new("quic.connection.number")
local CAPABILITY = "compact-rtp"
local BEHIND = 79

-- What is known of each link; frames are seen in order on the first pass only, so what a compact
-- frame became is kept for the passes that follow. `ends` finds the link of a media id.
local links, rebuilt, ends = {}, {}, {}

-- Lua 5.2 (Debian 12) has no operators on bits, and 5.4 no library for them; Wireshark brings one.
local int = math.floor
local function has(value, bits)
  return int(value / bits) % 2 == 1
end

local function link_at(key)
  links[key] = links[key] or { contexts = {}, references = {} }
  return links[key], key
end

-- The way of the packet at hand on a TCP link, and its opposite.
local function on_tcp(pinfo)
  local stream = tcp_stream()
  local link, key = link_at("tcp/" .. (stream and stream.value or 0))
  link.forward = pinfo.src_port .. ">" .. pinfo.dst_port
  link.back = pinfo.dst_port .. ">" .. pinfo.src_port
  return link, key
end

local function set_way(link, up)
  link.forward, link.back = up and "up" or "down", up and "down" or "up"
end

-- Same for QUIC, whose client may change its address: the gateway's port is that to which Hello went.
local function on_quic(pinfo)
  local number = quic_connection()
  local link, key = link_at("quic/" .. (number and number.value or 0))
  set_way(link, pinfo.dst_port == (link.gateway_port or pinfo.dst_port))
  return link, key
end

-- RFC 9000 section 16. Returns value and size, or nothing when it runs past the end.
local function varint(tvb, offset)
  if offset >= tvb:len() then return nil end
  local first = tvb(offset, 1):uint()
  local size = int(2 ^ int(first / 64))
  if offset + size > tvb:len() then return nil end
  local value = first % 64
  for i = 1, size - 1 do value = value * 256 + tvb(offset + i, 1):uint() end
  return value, size
end

-- Protobuf's own variable-length integer.
local function base128(tvb, offset)
  local value, factor = 0, 1
  for i = 0, 9 do
    if offset + i >= tvb:len() then return nil end
    local byte = tvb(offset + i, 1):uint()
    value = value + (byte % 128) * factor
    factor = factor * 128
    if byte < 0x80 then return value, i + 1 end
  end
  return nil
end

-- The schema, as far as it is shown: number = { name, kind }. Kinds: number, text, secret, bytes, a
-- table for a message within.
local quality = { [1] = { "packets" }, [2] = { "lost" }, [3] = { "jitter_us" },
  [4] = { "mos_hundredths" }, [5] = { "round_trip_us" } }
local SCHEMA = {
  [1] = { "Hello", { [1] = { "min_version" }, [2] = { "max_version" }, [3] = { "software", "text" },
    [4] = { "token", "secret" },
    [5] = { "password", { [1] = { "user", "text" }, [2] = { "password", "secret" } } },
    [6] = { "resume", { [1] = { "token", "secret" }, [2] = { "sip_frames" } } },
    [7] = { "media_id" }, [8] = { "capabilities", "text" }, [9] = { "instance", "text" } } },
  [2] = { "Welcome", { [1] = { "version" }, [2] = { "session_id" }, [3] = { "resume_token", "secret" },
    [4] = { "resume_window_ms" }, [5] = { "media_id" }, [6] = { "observed_address", "text" },
    [7] = { "keep_alive_ms" },
    [8] = { "limits", { [1] = { "channels" }, [2] = { "reliable_frame_bytes" },
      [3] = { "media_frame_bytes" } } },
    [9] = { "sip_domain", "text" }, [10] = { "user", "text" }, [11] = { "software", "text" },
    [12] = { "capabilities", "text" }, [13] = { "sip_frames" }, [14] = { "sip_frames_before" } } },
  [3] = { "Reject", { [1] = { "code" }, [2] = { "reason", "text" }, [3] = { "retry_after_s" } } },
  [4] = { "Ping", { [1] = { "clock_ms" }, [2] = { "hold_ms" }, [3] = { "padding" } } },
  [5] = { "Pong", { [1] = { "ping_clock_ms" }, [2] = { "clock_ms" }, [3] = { "held_ms" }, [4] = { "padding" } } },
  [6] = { "Ack", { [1] = { "sip_frames" } } },
  [7] = { "MediaContext", { [1] = { "channel" }, [2] = { "context" }, [3] = { "ssrc" },
    [4] = { "payload_type" }, [5] = { "timestamp_step" }, [6] = { "base_sequence" },
    [7] = { "base_timestamp" }, [8] = { "generation" }, [9] = { "packets_per_second" } } },
  [8] = { "MediaContextAck", { [1] = { "channel" }, [2] = { "context" }, [3] = { "accepted" },
    [4] = { "generation" } } },
  [9] = { "FlowReport", { [1] = { "channel" }, [2] = { "client_to_gateway", quality },
    [3] = { "gateway_to_client", quality }, [4] = { "gateway_to_network", quality },
    [5] = { "network_to_gateway", quality } } },
  [10] = { "PeerOffer", {} }, [11] = { "PeerAnswer", {} }, [12] = { "PeerResult", {} },
  [13] = { "GoAway", { [1] = { "deadline_ms" }, [2] = { "gateways", "text" }, [3] = { "reason", "text" } } },
  [14] = { "Close", { [1] = { "code" }, [2] = { "reason", "text" } } },
}

-- Reads a protobuf message into the tree; `seen(name, value)` gets what it holds. False: malformed.
local function message(tvb, schema, tree, seen)
  local offset = 0
  while offset < tvb:len() do
    local tag, size = base128(tvb, offset)
    if not tag then return false end
    local start = offset
    offset = offset + size
    local number, wire = int(tag / 8), tag % 8
    local known = schema[number]
    local name = known and known[1] or ("field " .. number)
    local kind = known and known[2]
    if wire == 0 then
      local value, bytes = base128(tvb, offset)
      if not value then return false end
      offset = offset + bytes
      tree:add(f.field, tvb(start, offset - start), name .. ": " .. string.format("%.0f", value))
      seen(name, value)
    elseif wire == 2 then
      local length, bytes = base128(tvb, offset)
      if not length or length < 0 or offset + bytes + length > tvb:len() then return false end
      offset = offset + bytes + length
      local range = tvb(start, offset - start)
      if type(kind) == "table" then
        local inner = tree:add(f.field, range, name)
        if length > 0 and not message(tvb(offset - length, length):tvb(), kind, inner, function() end) then
          return false
        end
      elseif kind == "secret" then
        tree:add(f.field, range, name .. ": (" .. length .. " bytes, not shown)")
      elseif kind == "text" then
        local value = length > 0 and tvb(offset - length, length):string(ENC_UTF_8) or ""
        tree:add(f.field, range, name .. ": " .. value)
        seen(name, value)
      else
        tree:add(f.field, range, name .. ": " .. length .. " bytes")
      end
    elseif wire == 1 and offset + 8 <= tvb:len() then
      offset = offset + 8
    elseif wire == 5 and offset + 4 <= tvb:len() then
      offset = offset + 4
    else
      return false
    end
  end
  return true
end

-- What a control message changes in what is known of the link. On the first pass only.
local function learn(link, name, fields, pinfo)
  local forward, back = link.forward, link.back
  if name == "Hello" then
    link.offered = fields.capabilities[CAPABILITY]
    link.gateway_port = pinfo.dst_port
  end
  if name == "Welcome" then link.compact = link.offered and fields.capabilities[CAPABILITY] or false end
  if (name == "Hello" or name == "Welcome") and (fields.media_id or 0) ~= 0 then
    ends[fields.media_id] = { link = link, up = name == "Welcome" }
  end
  if name == "MediaContext" then
    link.compact = true -- also where the capture began later
    local key = forward .. "/" .. (fields.channel or 0) .. "/" .. (fields.context or 0)
    link.contexts[key] = fields
  end
  if name == "MediaContextAck" and (fields.accepted or 0) == 0 then
    link.contexts[back .. "/" .. (fields.channel or 0) .. "/" .. (fields.context or 0)] = nil
  end
end

local function control(tvb, pinfo, tree, link)
  local tag, size = base128(tvb, 0)
  local kind = tag and SCHEMA[int(tag / 8)]
  local name = kind and kind[1] or "unknown"
  local item = tree:add(f.control, tvb(), name)
  local length, bytes = nil, nil
  if tag and tag % 8 == 2 then length, bytes = base128(tvb, size) end
  if not length or size + bytes + length ~= tvb:len() then
    item:add_proto_expert_info(malformed, "no control message")
    return name
  end
  local fields = { capabilities = {} }
  local function seen(field, value)
    if field == "capabilities" then fields.capabilities[value] = true else fields[field] = value end
  end
  if length > 0 and not message(tvb(size + bytes, length):tvb(), kind and kind[2] or {}, item, seen) then
    item:add_proto_expert_info(malformed, "malformed " .. name)
  elseif not pinfo.visited then
    learn(link, name, fields, pinfo)
  end
  return name
end

local function reference_key(link, channel, ssrc)
  return link.forward .. "/" .. channel .. "/" .. ssrc
end

-- A packet of form 10 or a rebuilt one moves the reference of its SSRC forward.
local function note(link, channel, ssrc, sequence)
  local key = reference_key(link, channel, ssrc)
  local known = link.references[key]
  local ahead = known and (sequence - known) % 65536
  if not known or (ahead > 0 and ahead < 0x8000) then link.references[key] = sequence end
end

-- The 12 bytes that a compact frame stands for, or nothing.
local function rebuild(tvb, link, channel)
  local first = tvb(0, 1):uint()
  local context = link.contexts[link.forward .. "/" .. channel .. "/" .. (first % 16)]
  if not context then return nil end
  local reference = link.references[reference_key(link, channel, context.ssrc or 0)]
  if not reference then return nil end
  local lowest = reference - BEHIND
  local sequence = (lowest + (tvb(1, 1):uint() - lowest) % 256) % 65536
  local timestamp
  if has(first, 16) then
    timestamp = tvb(2, 4):uint()
  else
    local distance = (sequence - (context.base_sequence or 0)) % 65536
    if distance >= 0x8000 then distance = distance - 0x10000 end
    timestamp = ((context.base_timestamp or 0) + distance * (context.timestamp_step or 0)) % 4294967296
  end
  note(link, channel, context.ssrc or 0, sequence)
  local marker = has(first, 32) and 128 or 0
  return string.format("80%02x%04x%08x%08x", marker + (context.payload_type or 0), sequence, timestamp,
    context.ssrc or 0)
end

local function hand_to(name, tvb, pinfo, root)
  local dissector = Dissector.get(name)
  if dissector then dissector:call(tvb, pinfo, root) end
end

local function compact(tvb, pinfo, root, tree, link, key, channel)
  local first = tvb(0, 1):uint()
  local header = has(first, 16) and 6 or 2
  if tvb:len() < header then
    tree:add_proto_expert_info(malformed, "a compact frame that ends in its header")
    return "compact RTP?"
  end
  tree:add(f.context, tvb(0, 1), first % 16)
  tree:add(f.marker, tvb(0, 1), has(first, 32))
  tree:add(f.low_sequence, tvb(1, 1))
  if header == 6 then tree:add(f.timestamp, tvb(2, 4)) end
  local id = key .. "/" .. pinfo.number .. "/" .. channel .. "/" .. tvb(0, header):bytes():tohex()
  if not pinfo.visited and not rebuilt[id] then rebuilt[id] = rebuild(tvb, link, channel) end
  local hex = rebuilt[id]
  if not hex then
    tree:add_proto_expert_info(no_context, "context or reference not in this capture")
    return "compact RTP?"
  end
  local whole = ByteArray.new(hex)
  if tvb:len() > header then whole:append(tvb(header):bytes()) end
  local packet = whole:tvb("Rebuilt RTP")
  tree:add(f.rebuilt, packet(0, 12)):set_generated()
  hand_to("rtp", packet, pinfo, root)
  return "compact RTP"
end

-- A packet in its own form.
local function packet(tvb, pinfo, root, tree, link, channel, moves)
  local first = tvb(0, 1):uint()
  if int(first / 64) ~= 2 or tvb:len() < 8 then
    tree:add(f.bytes, tvb())
    return "other media"
  end
  local second = tvb(1, 1):uint()
  if second >= 192 and second <= 223 then
    hand_to("rtcp", tvb, pinfo, root)
    return "RTCP"
  end
  if tvb:len() >= 12 then
    if moves and not pinfo.visited then
      note(link, channel, tvb(8, 4):uint(), tvb(2, 2):uint())
    end
    hand_to("rtp", tvb, pinfo, root)
  end
  return "RTP"
end

local function media(tvb, pinfo, root, tree, link, key, channel)
  local first = tvb(0, 1):uint()
  local function form(name)
    tree:add(f.form, tvb(0, 1), name)
  end
  if int(first / 64) == 2 or not link.compact then
    form("as it is")
    return packet(tvb, pinfo, root, tree, link, channel, true)
  end
  if int(first / 64) == 0 then
    form("compact")
    return compact(tvb, pinfo, root, tree, link, key, channel)
  end
  if first == 0x40 and tvb:len() > 1 then
    form("behind a byte")
    return packet(tvb(1):tvb(), pinfo, root, tree, link, channel, false)
  end
  form("none of this version")
  tree:add_proto_expert_info(malformed, "a media frame of no known form")
  return "media?"
end

-- One message of section 3; `what` gets a word for each frame.
local function frames(tvb, pinfo, root, link, key, what)
  local offset = 0
  while offset < tvb:len() do
    local channel, size = varint(tvb, offset)
    local tree = root:add(isthmus, tvb(offset))
    if not channel then
      tree:add_proto_expert_info(malformed, "a channel that runs past the end")
      break
    end
    tree:add(f.channel, tvb(offset, size), channel)
    offset = offset + size
    local length, bytes = tvb:len() - offset, 0
    if channel >= 16 then
      local said
      said, bytes = varint(tvb, offset)
      if not said then
        tree:add_proto_expert_info(malformed, "a length that runs past the end")
        break
      end
      tree:add(f.length, tvb(offset, bytes), said)
      offset = offset + bytes
      length = said == 0 and tvb:len() - offset or said
    end
    if length == 0 or offset + length > tvb:len() then
      tree:add_proto_expert_info(malformed, "an empty frame, or one that runs past the end")
      break
    end
    local frame = tvb(offset, length):tvb()
    if channel == 0 then
      what[#what + 1] = control(frame, pinfo, tree, link)
    elseif channel == 1 then
      what[#what + 1] = "SIP"
      hand_to("sip", frame, pinfo, root)
    elseif channel >= 16 then
      what[#what + 1] = media(frame, pinfo, root, tree, link, key, channel) .. " ch " .. channel
    else
      what[#what + 1] = "reserved channel " .. channel
      tree:add(f.bytes, frame())
    end
    offset = offset + length
  end
end

local function show(pinfo, what)
  pinfo.cols.protocol = "Isthmus"
  pinfo.cols.info = table.concat(what, ", ")
end

function isthmus.dissector(tvb, pinfo, root)
  if tvb:len() == 0 then return 0 end
  local link, key = on_tcp(pinfo)
  local what = {}
  frames(tvb, pinfo, root, link, key, what)
  show(pinfo, what)
  return tvb:len()
end

DissectorTable.get("ws.protocol"):add("isthmus.v1", isthmus)

-- QUIC's stream 0: length, message, and so on. Wireshark puts the stream's pieces together.
local on_stream = Proto("isthmus_quic", "Isthmus UDP link, reliable frames")
local MOST_RELIABLE = 65544

function on_stream.dissector(tvb, pinfo, root)
  local link, key = on_quic(pinfo)
  local offset, what = 0, {}
  while offset < tvb:len() do
    local length, size = varint(tvb, offset)
    if length and (length == 0 or length > MOST_RELIABLE) then
      root:add(isthmus, tvb(offset)):add_proto_expert_info(malformed, "a length that is none")
      break
    end
    if not length or offset + size + length > tvb:len() then
      pinfo.desegment_offset = offset
      pinfo.desegment_len = DESEGMENT_ONE_MORE_SEGMENT
      break
    end
    frames(tvb(offset + size, length):tvb(), pinfo, root, link, key, what)
    offset = offset + size + length
  end
  if #what > 0 then show(pinfo, what) end
  return tvb:len()
end

DissectorTable.get("quic.proto"):add("isthmus/1", on_stream)

-- Keys of media packets by SSRC.
local keys = {}
local keys_read, keys_looked = 0, nil

local function read_keys()
  local now = os.time()
  if isthmus.prefs.media_keys == "" or keys_looked == now then return end
  keys_looked = now
  local file = io.open(isthmus.prefs.media_keys, "r")
  if not file then return end
  file:seek("set", keys_read)
  for line in file:lines() do
    local ssrc, master, salt = line:match("^SRTP (%x+) AEAD_AES_128_GCM (%x+) (%x+)$")
    if ssrc and #ssrc == 8 and #master == 32 and #salt == 24 then
      local id = tonumber(ssrc, 16)
      keys[id] = keys[id] or {}
      table.insert(keys[id], 1, { master = master, salt = salt })
    end
  end
  keys_read = file:seek()
  file:close()
end

local opened = {} -- by packet: decided on the first pass
local function open(tvb, pinfo, ssrc)
  local id = pinfo.number
  if opened[id] then return opened[id] end
  if not keys[ssrc] then read_keys() end
  local header, tag = tvb(0, 12):bytes():tohex(), tvb(tvb:len() - 16, 16):bytes():tohex()
  local sealed = tvb(12, tvb:len() - 28):bytes():tohex()
  for _, key in ipairs(keys[ssrc] or {}) do
    local plain, index = srtp.open(key, header, sealed, tag)
    if plain then
      opened[id] = { plain = plain, index = index }
      break
    end
  end
  return opened[id]
end

-- A UDP link's datagrams: the first byte says which they are (RFC 9443).
local on_udp = Proto("isthmus_udp", "Isthmus UDP link")

local function media_packet(tvb, pinfo, root)
  local tree = root:add(isthmus, tvb())
  if tvb:len() <= 28 or tvb(0, 1):uint() ~= 0x80 or tvb(1, 1):uint() ~= 96 then
    tree:add_proto_expert_info(malformed, "no media packet")
    return show(pinfo, { "media packet?" })
  end
  local ssrc = tvb(8, 4):uint()
  tree:add(f.counter, tvb(2, 2))
  tree:add(f.clock, tvb(4, 4))
  tree:add(f.media_id, tvb(8, 4))
  tree:add(f.sealed, tvb(12, tvb:len() - 28))
  tree:add(f.tag, tvb(tvb:len() - 16, 16))
  local inside = open(tvb, pinfo, ssrc)
  if not inside then
    tree:add_proto_expert_info(no_key, keys[ssrc] and "its tag is wrong" or "no key of this media id")
    return show(pinfo, { "sealed media" })
  end
  tree:add(f.extended, UInt64.new(inside.index % 4294967296, int(inside.index / 4294967296))):set_generated()
  local known = ends[ssrc]
  local link, key
  if known then
    link, key = known.link, "media"
    set_way(link, known.up)
  else -- the capture began after Welcome
    link, key = link_at("media/" .. ssrc)
    set_way(link, true)
  end
  local what = {}
  frames(ByteArray.new(inside.plain):tvb("Opened media"), pinfo, root, link, key, what)
  show(pinfo, what)
end

function on_udp.dissector(tvb, pinfo, root)
  if tvb:len() == 0 then return 0 end
  local kind = int(tvb(0, 1):uint() / 64)
  if kind == 1 or kind == 3 then
    hand_to("quic", tvb, pinfo, root)
  elseif kind == 2 then
    media_packet(tvb, pinfo, root)
  else
    root:add(isthmus, tvb()):add_proto_expert_info(malformed, "neither QUIC nor media")
  end
  return tvb:len()
end

DissectorTable.get("udp.port"):add_for_decode_as(on_udp)

function isthmus.init()
  links, rebuilt, ends, opened, keys = {}, {}, {}, {}, {}
  keys_read, keys_looked = 0, nil
end
