/** The main job, with an agent that was installed as docs/install.md describes. */
import { installAgent } from './agent.ts';
import { mainJob } from './main-job.ts';

mainJob({ name: 'main-job', install: installAgent, unit: 'fairlead.service' });
