import { type Collector, defineJob, OutputTag, type ProcessContext, textFormat } from 'millrace'
import { linesIn } from '../lines-in.js'
import { resultsOut, sideResultsOut } from '../results-out.js'

interface Student {
  readonly name: string
  readonly gender: string
  readonly age: number
}

const EIGHTEEN: OutputTag<string> = new OutputTag('stream_1')
const YOUNGER: OutputTag<string> = new OutputTag('stream_2')

/**
 * Splits students, lines `name,gender,age`: names of those over 18 go to the main output, `name:age` of those who are 18 to side
 * output stream_1, names of those under 18 to stream_2. With `--output x.txt` the side outputs are x.stream_1.txt and x.stream_2.txt.
 */
export default defineJob('students', (env) => {
  const adults = linesIn(env, import.meta.url, 'input.txt')
    .map(parse)
    .process({
      processElement(student: Student, ctx: ProcessContext, out: Collector<string>) {
        if (student.age > 18) out.collect(student.name)
        else if (student.age === 18) ctx.output(EIGHTEEN, `${student.name}:${student.age}`)
        else ctx.output(YOUNGER, student.name)
      },
    })
  resultsOut(adults, env, textFormat())
  sideResultsOut(adults.getSideOutput(EIGHTEEN), env, textFormat(), EIGHTEEN.id)
  sideResultsOut(adults.getSideOutput(YOUNGER), env, textFormat(), YOUNGER.id)
})

function parse(line: string): Student {
  const [name, gender, age, ...rest] = line.split(',').map((field) => field.trim())
  const student = { name, gender, age: Number(age || Number.NaN) }
  if (name === '' || Number.isNaN(student.age) || rest.length > 0) throw new Error(`expected "name,gender,age", got ${JSON.stringify(line)}`)
  return student
}
