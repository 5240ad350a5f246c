namespace Ka.Broadcast;

/// <summary>What a giver says of bytes that came wrong from it.</summary>
enum GiverAnswer
{
    None,
    TheyWereRight,
    Amended,
}

/// <summary>
/// Decides who is to blame for wrong chunks. With cut-through forwarding a peer hands on what it has not checked, so a wrong chunk alone says nothing of
/// it; what it says when it is asked does. Pure bookkeeping.
/// </summary>
sealed class GiverRecord(int chunkBytes)
{
    /// <summary>Wrong chunks from a peer that does not say what was wrong: it may be dying, but not twice.</summary>
    public const int UnansweredLimit = 2;

    /// <summary>As many chunks' worth of bytes may a peer amend: one that is honest leaves whoever gives it so much that is wrong.</summary>
    public const int AmendedChunkLimit = 16;

    readonly Dictionary<ChainPeer, int> _unanswered = [];
    readonly Dictionary<ChainPeer, long> _amended = [];

    public void Amended(ChainPeer peer, int bytes) => _amended[peer] = _amended.GetValueOrDefault(peer) + bytes;

    /// <summary>Whether it is worth while to ask a peer what was wrong: also one that gives nothing any more may amend what it gave before, as the hash decides.</summary>
    public bool MayAmend(ChainPeer peer) =>
        _unanswered.GetValueOrDefault(peer) < UnansweredLimit && _amended.GetValueOrDefault(peer) <= (long)AmendedChunkLimit * chunkBytes;

    /// <summary>Whether a giver of wrong bytes is to give nothing any more.</summary>
    /// <param name="isRight">With what it amended itself, its part of the chunk is right.</param>
    public bool IsToBlame(ChainPeer peer, GiverAnswer answer, bool isRight) => isRight
        ? _amended.GetValueOrDefault(peer) > (long)AmendedChunkLimit * chunkBytes
        : answer switch
        {
            GiverAnswer.TheyWereRight or GiverAnswer.Amended => true,
            GiverAnswer.None => (_unanswered[peer] = _unanswered.GetValueOrDefault(peer) + 1) >= UnansweredLimit,
        };
}
