//! Questions to brokers that may be silent: all brokers side by side, each a few at a time, and who leaves one unanswered is asked
//! nothing more. So whoever does not answer costs a look one wait, and no answers of others.

use crate::client::{CallError, ClientError};
use futures::stream::{StreamExt as _, iter};
use std::collections::BTreeMap;
use std::fmt;
use tokio::time::{Instant, timeout_at};

/// Questions to one broker that are on their way at once.
pub(super) const AT_ONCE: usize = 8;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Unanswered {
    why: String,
    /// The broker says nothing, rather than something else.
    pub(super) is_silence: bool,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// A broker that has left a question unanswered, and how many more it would have been asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) node: i32,
    pub(super) left: usize,
}

/// The answer, or why there is none before its time is over.
pub(super) async fn within<T>(
    over: Instant,
    question: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, Unanswered> {
    match timeout_at(over, question).await {
        Ok(answer) => answer.map_err(|error| Unanswered { is_silence: is_silence(&error), why: error.to_string() }),
        Err(_) => Err(Unanswered { why: "the look was over before that was told".to_owned(), is_silence: true }),
    }
}

/// What fails at once costs nothing: it is waiting that does.
fn is_silence(error: &ClientError) -> bool {
    match error {
        ClientError::Call { source, .. } | ClientError::Listener { source, .. } => {
            matches!(**source, CallError::Timeout(_))
        }
        _ => false,
    }
}

/// Asks each broker its questions; `ask` gives an answer, and whether that is silence.
pub(super) async fn side_by_side<Q, A, F: Future<Output = (A, bool)>>(
    questions: impl IntoIterator<Item = (i32, Q)>,
    ask: impl Fn(i32, Q) -> F,
) -> (Vec<A>, Vec<Silence>) {
    let mut by_node: BTreeMap<i32, Vec<Q>> = BTreeMap::new();
    for (node, question) in questions {
        by_node.entry(node).or_default().push(question);
    }
    let ask = &ask;
    let brokers = by_node.into_iter().map(|(node, questions)| async move {
        let mut left = questions.len();
        let mut answers = Vec::with_capacity(left);
        let mut asked = iter(questions).map(|question| ask(node, question)).buffer_unordered(AT_ONCE);
        while let Some((answer, is_silence)) = asked.next().await {
            left -= 1;
            answers.push(answer);
            if is_silence {
                return (answers, Some(Silence { node, left }));
            }
        }
        (answers, None)
    });
    let (answers, silences): (Vec<Vec<A>>, Vec<Option<Silence>>) =
        futures::future::join_all(brokers).await.into_iter().unzip();
    (answers.into_iter().flatten().collect(), silences.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_costs_one_wait_and_no_answers_of_others() {
        let wait = Duration::from_secs(10);
        let questions = (0..300).map(|number| (number % 3, number));
        let ask = |node: i32, number: i32| async move {
            if node == 1 {
                // By the test's clock, which nobody waits for.
                tokio::time::sleep(wait).await;
            }
            (number, node == 1)
        };
        let began = Instant::now();
        let (answers, silences) = side_by_side(questions, ask).await;
        assert_eq!((answers.len(), began.elapsed()), (201, wait));
        assert_eq!(silences, [Silence { node: 1, left: 99 }]);
    }
}
