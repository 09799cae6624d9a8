-- Wireshark dissector for the Isthmus TCP link (PROTOCOL.md): WebSocket subprotocol isthmus.v1.
--
--   tshark -X lua_script:isthmus.lua -o tls.keylog_file:KEYS -r capture.pcap
--
-- SIP goes to the SIP dissector, RTP and RTCP to theirs; compact RTP is rebuilt first. Passwords and
-- tokens are not shown.

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

local malformed = ProtoExpert.new("isthmus.malformed", "Malformed", expert.group.MALFORMED,
  expert.severity.ERROR)
local no_context = ProtoExpert.new("isthmus.compact.unknown", "Compact RTP that cannot be rebuilt",
  expert.group.UNDECODED, expert.severity.WARN)
isthmus.experts = { malformed, no_context }

local stream_field = Field.new("tcp.stream")
local CAPABILITY = "compact-rtp"
local BEHIND = 79

-- What is known of each TCP connection; frames are seen in order on the first pass only, so what a
-- compact frame became is kept for the passes that follow.
local links, rebuilt = {}, {}

function isthmus.init()
  links, rebuilt = {}, {}
end

-- Lua 5.2 (Debian 12) has no operators on bits, and 5.4 no library for them.
local int = math.floor
local function has(value, bit)
  return int(value / bit) % 2 == 1
end

local function link_of()
  local stream = stream_field()
  local key = stream and stream.value or 0
  links[key] = links[key] or { contexts = {}, references = {} }
  return links[key], key
end

-- Direction of the frame at hand, and its opposite.
local function directions(pinfo)
  return pinfo.src_port .. ">" .. pinfo.dst_port, pinfo.dst_port .. ">" .. pinfo.src_port
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
  [4] = { "Ping", { [1] = { "clock_ms" } } },
  [5] = { "Pong", { [1] = { "ping_clock_ms" }, [2] = { "clock_ms" } } },
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
  local forward, back = directions(pinfo)
  if name == "Hello" then link.offered = fields.capabilities[CAPABILITY] end
  if name == "Welcome" then link.compact = link.offered and fields.capabilities[CAPABILITY] or false end
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

local function reference_key(pinfo, channel, ssrc)
  return (directions(pinfo)) .. "/" .. channel .. "/" .. ssrc
end

-- A packet of form 10 or a rebuilt one moves the reference of its SSRC forward.
local function note(link, pinfo, channel, ssrc, sequence)
  local key = reference_key(pinfo, channel, ssrc)
  local known = link.references[key]
  local ahead = known and (sequence - known) % 65536
  if not known or (ahead > 0 and ahead < 0x8000) then link.references[key] = sequence end
end

-- The 12 bytes that a compact frame stands for, or nothing.
local function rebuild(tvb, pinfo, link, channel)
  local first = tvb(0, 1):uint()
  local context = link.contexts[(directions(pinfo)) .. "/" .. channel .. "/" .. (first % 16)]
  if not context then return nil end
  local reference = link.references[reference_key(pinfo, channel, context.ssrc or 0)]
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
  note(link, pinfo, channel, context.ssrc or 0, sequence)
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
  if not pinfo.visited and not rebuilt[id] then rebuilt[id] = rebuild(tvb, pinfo, link, channel) end
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
      note(link, pinfo, channel, tvb(8, 4):uint(), tvb(2, 2):uint())
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

function isthmus.dissector(tvb, pinfo, root)
  if tvb:len() == 0 then return 0 end
  local link, key = link_of()
  local offset, what = 0, {}
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
  pinfo.cols.protocol = "Isthmus"
  pinfo.cols.info = table.concat(what, ", ")
  return tvb:len()
end

DissectorTable.get("ws.protocol"):add("isthmus.v1", isthmus)
