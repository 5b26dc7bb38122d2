/** Creates the virtual machine, as a program: `flock` lets one process at a time do so. */
import { buildMachine } from './image.ts';

await buildMachine((line) => console.log(line));
