const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const ACCESS_DATE = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/

// A log holds many lines of the same second in a row.
let lastText = ''
let lastMs = Number.NaN

/**
 * `10/Oct/2000:13:55:36 -0700` (the %t of access logs, without its brackets) as epoch milliseconds; NaN when it is no
 * such date or one that no calendar has.
 */
export function parseAccessDate(text: string): number {
  if (text !== lastText) {
    lastMs = parse(text)
    lastText = text
  }
  return lastMs
}

function parse(text: string): number {
  const match = ACCESS_DATE.exec(text)
  if (match === null) return Number.NaN
  const [day, year, hour, minute, second] = [match[1], match[3], match[4], match[5], match[6]].map(Number)
  const month = MONTHS.indexOf(match[2])
  const zoneMinutes = Number(match[8]) * 60 + Number(match[9])
  if (month < 0 || hour > 23 || minute > 59 || second > 59 || Number(match[9]) > 59 || zoneMinutes > 14 * 60) return Number.NaN
  const local = new Date(0)
  local.setUTCFullYear(year, month, day)
  local.setUTCHours(hour, minute, second)
  // The 30th of February would have become the 1st or 2nd of March.
  if (local.getUTCDate() !== day) return Number.NaN
  return local.getTime() - (match[7] === '-' ? -1 : 1) * zoneMinutes * 60_000
}
