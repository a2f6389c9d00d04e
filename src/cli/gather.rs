//! Many small questions at once, answered in the order they were asked.

use std::future::Future;

use tokio::task::JoinSet;

/// Questions under way at any time; they share a connection for each server.
const AT_ONCE: usize = 64;

/// Asks `ask` about every item. The answers stand in the order of the items.
pub(crate) async fn gather<I, T, F>(
    items: impl IntoIterator<Item = I>,
    ask: impl Fn(I) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut items = items.into_iter().enumerate();
    let mut tasks = JoinSet::new();
    let mut answers: Vec<(usize, T)> = Vec::new();
    loop {
        while tasks.len() < AT_ONCE
            && let Some((index, item)) = items.next()
        {
            let question = ask(item);
            tasks.spawn(async move { (index, question.await) });
        }
        match tasks.join_next().await {
            Some(Ok(answer)) => answers.push(answer),
            // A question that panics is a mistake of this program; it goes on where it belongs.
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) => {}
            None => break,
        }
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_keep_the_order() {
        let answers = gather(0..200_u32, |n| async move {
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
            n * 2
        })
        .await;
        assert_eq!(answers, (0..200).map(|n| n * 2).collect::<Vec<_>>());
    }
}
