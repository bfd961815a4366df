mod loading;
mod rules;
mod world;

use super::*;
