/** The third, sixth, ninth … case of real life. */
import { playShare } from './play.ts';

playShare(3);
