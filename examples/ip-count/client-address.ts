import { isIPv6 } from 'node:net'

const DOT = 46
const ZERO = 48
const NINE = 57

/** Whether a log's first field can name a client: an IPv4 or IPv6 address or a host name. */
export function isClientAddress(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false
  return isIPv4(text) || (text.includes(':') ? isIPv6(text) : isHostName(text))
}

/** Four numbers from 0 to 255. By character, since it is asked for each line. */
function isIPv4(text: string): boolean {
  let octet = -1
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code >= ZERO && code <= NINE) {
      octet = (octet < 0 ? 0 : octet * 10) + (code - ZERO)
      if (octet > 255) return false
    } else if (code === DOT && octet >= 0 && dots < 3) {
      dots++
      octet = -1
    } else {
      return false
    }
  }
  return dots === 3 && octet >= 0
}

/** Labels of letters, digits, `-` and `_`. The last one is not a number, or 999.1.1.1 and 1.2.3 would pass. */
const HOST_NAME = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*(?!\d+\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$/

function isHostName(text: string): boolean {
  return HOST_NAME.test(text)
}
