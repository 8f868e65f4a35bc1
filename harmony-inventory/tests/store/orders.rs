//! Orders: one open for each host, one use of each token.

use harmony_core::boot::{Order, OrderId, OrderState};
use harmony_core::store::{Store, StoreError};

use crate::fixtures::*;

crate::on_memory_and_file! {
    async fn an_order_comes_back_as_it_was_given(store) {
        let (one, two) = (acquired(&store, 1).await, acquired(&store, 2).await);
        let mut given = vec![order(&one, 1, 1), order(&two, 1, 2)];
        given.sort_by(|a, b| a.id.cmp(&b.id));
        for order in &given {
            store.create_order(order, &token("secret")).await.expect("given");
        }
        assert_eq!(store.orders().await.expect("read"), given);
        assert_eq!(store.order(&given[0].id).await.expect("read").as_ref(), Some(&given[0]));
        assert_eq!(store.order_token(&given[0].id).await.expect("read"), Some(token("secret")));
        let unknown = OrderId { number: 7, ..given[0].id.clone() };
        assert_eq!(store.order(&unknown).await.expect("read"), None);
        assert_eq!(store.order_token(&unknown).await.expect("read"), None);
    }

    async fn a_host_has_one_open_order_and_a_number_is_given_once(store) {
        let id = acquired(&store, 1).await;
        let first = order(&id, 1, 1);
        store.create_order(&first, &token("t")).await.expect("given");
        let text = conflict(store.create_order(&order(&id, 2, 1), &token("t")).await);
        assert_names(&text, &[&first.id.to_string(), "issued"]);
        store.advance_order(&first.id, OrderState::Issued, OrderState::Failed, Some("disk broke")).await.expect("failed");
        assert_eq!(store.order(&first.id).await.expect("read").expect("there").failure.as_deref(), Some("disk broke"));
        assert_names(&conflict(store.create_order(&first, &token("t")).await), &["given before"]);
        store.create_order(&order(&id, 2, 1), &token("t")).await.expect("the first is closed");
    }

    async fn an_address_and_a_name_belong_to_one_order(store) {
        let (one, two) = (acquired(&store, 1).await, acquired(&store, 2).await);
        let first = order(&one, 1, 1);
        store.create_order(&first, &token("t")).await.expect("given");
        let same_address = Order { address: first.address, ..order(&two, 1, 2) };
        let text = conflict(store.create_order(&same_address, &token("t")).await);
        assert_names(&text, &["address 10.10.0.1", &first.id.to_string(), &same_address.id.to_string()]);
        let same_name = Order { hostname: first.hostname.clone(), ..order(&two, 1, 2) };
        assert_names(&conflict(store.create_order(&same_name, &token("t")).await), &["`node-1.lab`"]);
        store.advance_order(&first.id, OrderState::Issued, OrderState::Cancelled, None).await.expect("cancelled");
        store.create_order(&same_address, &token("t")).await.expect("free");
    }

    async fn a_complete_order_is_followed_by_another_of_the_same_host(store) {
        let id = acquired(&store, 1).await;
        store.create_order(&order(&id, 1, 1), &token("t")).await.expect("given");
        complete(&store, &order(&id, 1, 1).id).await;
        store.create_order(&order(&id, 2, 1), &token("t")).await.expect("the same address, the same host");
    }

    async fn an_order_moves_only_along_its_states(store) {
        let id = acquired(&store, 1).await;
        let order = order(&id, 1, 1);
        store.create_order(&order, &token("t")).await.expect("given");
        let text = conflict(store.advance_order(&order.id, OrderState::Answered, OrderState::Installed, None).await);
        assert_names(&text, &[&order.id.to_string(), "is issued, not answered"]);
        let text = conflict(store.advance_order(&order.id, OrderState::Issued, OrderState::Complete, None).await);
        assert_names(&text, &["cannot become complete"]);
        assert_eq!(store.order(&order.id).await.expect("read"), Some(order.clone()));
        let unknown = OrderId { number: 9, ..order.id };
        let refused = store.advance_order(&unknown, OrderState::Issued, OrderState::Failed, None).await;
        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    }

    async fn a_token_is_used_once(store) {
        let id = acquired(&store, 1).await;
        let order = order(&id, 1, 1);
        store.create_order(&order, &token("right")).await.expect("given");
        let text = conflict(store.redeem_token(&order.id, &token("wrong"), at(10)).await);
        assert_names(&text, &[&order.id.to_string(), "it is wrong"]);
        assert!(!text.contains("right"));
        let text = conflict(store.redeem_token(&order.id, &token("right"), at(3601)).await);
        assert_names(&text, &["expired"]);
        assert_eq!(store.order(&order.id).await.expect("read").expect("there").state, OrderState::Issued);
        store.redeem_token(&order.id, &token("right"), at(3600)).await.expect("the last moment");
        assert_eq!(store.order(&order.id).await.expect("read").expect("there").state, OrderState::Answered);
        assert_names(&conflict(store.redeem_token(&order.id, &token("right"), at(10)).await), &["it was used"]);
        // Who does not have the token does not learn the state either.
        assert_names(&conflict(store.redeem_token(&order.id, &token("wrong"), at(10)).await), &["it is wrong"]);
    }

    async fn a_failed_order_is_tried_again_with_a_new_token(store) {
        let (one, two) = (acquired(&store, 1).await, acquired(&store, 2).await);
        let order = order(&one, 1, 1);
        store.create_order(&order, &token("old")).await.expect("given");
        store.redeem_token(&order.id, &token("old"), at(10)).await.expect("used");
        store.advance_order(&order.id, OrderState::Answered, OrderState::Failed, Some("digest")).await.expect("failed");
        store.reissue_order(&order.id, &token("new"), at(7200)).await.expect("again");
        let again = Order { attempt: 2, expires_at: at(7200), ..order.clone() };
        assert_eq!(store.order(&order.id).await.expect("read"), Some(again));
        assert_names(&conflict(store.redeem_token(&order.id, &token("old"), at(20)).await), &["wrong"]);
        store.redeem_token(&order.id, &token("new"), at(20)).await.expect("used");

        // Meanwhile another got its address.
        store.advance_order(&order.id, OrderState::Answered, OrderState::Failed, None).await.expect("failed");
        let other = Order { address: order.address, ..crate::fixtures::order(&two, 1, 2) };
        store.create_order(&other, &token("t")).await.expect("given");
        assert_names(&conflict(store.reissue_order(&order.id, &token("x"), at(9000)).await), &["10.10.0.1", &other.id.to_string()]);
    }

    async fn a_closed_order_stays_closed(store) {
        let id = acquired(&store, 1).await;
        let first = order(&id, 1, 1);
        store.create_order(&first, &token("t")).await.expect("given");
        complete(&store, &first.id).await;
        assert_names(&conflict(store.reissue_order(&first.id, &token("x"), at(9000)).await), &["complete"]);
        let second = order(&id, 2, 1);
        store.create_order(&second, &token("t")).await.expect("given");
        store.advance_order(&second.id, OrderState::Issued, OrderState::Failed, None).await.expect("failed");
        store.create_order(&order(&id, 3, 1), &token("t")).await.expect("given");
        assert_names(&conflict(store.reissue_order(&second.id, &token("x"), at(9000)).await), &["followed by", "/3"]);
    }
}
