import type { Channel } from './channel.ts'
import type { Channels } from './connection.ts'
import { type Message, isFrame } from './messages.ts'

/**
 * Take a message that answers no command, and is the same by every way of connecting. Returns the
 * channels that miss frames.
 */
export function take(message: Message, channels: Channels): Channel[] {
  if (message.type === 'heartbeat') return channels.behind(message)
  const channel = channels.find(message.channel ?? '')
  if (channel === undefined) return []
  if (isFrame(message)) return channel.frame(message) === 'gap' ? [channel] : []
  if (message.type === 'reset') channel.reset(message)
  else if (message.type === 'unsubscribed') end(channel, message, channels)
  return []
}

function end(channel: Channel, { data }: Message, channels: Channels): void {
  const reason = String(data['reason'] ?? 'unsubscribed')
  channels.end(channel, reason, String(data['message'] ?? reason))
}
