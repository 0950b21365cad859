import { MAX_WATERMARK } from '../core/index.js'
import type { WatermarkProgress } from './rising-output.js'

/** How far an input is, after `changed`, one of the channels that count, has changed (undefined: after a channel went or came). */
export function combineProgress(
  before: WatermarkProgress,
  channels: readonly WatermarkProgress[],
  changed: WatermarkProgress | undefined,
): WatermarkProgress {
  const idle = channels.every((channel) => channel.idle)
  if (!idle) {
    // Active and behind what was said already: it was idle while the others went on, and does not hold them back until it has caught up.
    const caughtUp = channels.filter((channel) => !channel.idle && channel.watermark >= before.watermark)
    if (caughtUp.length === 0) return { watermark: before.watermark, idle }
    return { watermark: caughtUp.reduce((least, channel) => Math.min(least, channel.watermark), MAX_WATERMARK), idle }
  }
  // The last that was active held the others back, or nobody did: as in Flink's valve.
  if (changed !== undefined && changed.watermark < before.watermark) return { watermark: before.watermark, idle }
  return { watermark: channels.reduce((greatest, channel) => Math.max(greatest, channel.watermark), before.watermark), idle }
}
